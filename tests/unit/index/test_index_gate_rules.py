"""The upload gate's parsers on good, odd and mutated input: they refuse by rule or return, and never break."""

import io
import tarfile
import zipfile
from collections.abc import Callable

import pytest
from common.wheels import build_wheel
from envcli_index.upload.errors import GateError
from envcli_vetting.admission.archive import SafeWheel, check_member_name
from envcli_vetting.admission.errors import AdmissionError
from envcli_vetting.admission.metadata import parse_core_metadata, parse_filename, read_manifest
from envcli_vetting.admission.source import read_source_metadata
from hypothesis import given, settings
from hypothesis import strategies as st

MANIFEST = b"""schema = 1
id = "good"
type = "command"
minimum_host_version = "0.1"
[[contributes]]
kind = "command"
name = "good"
summary = "Good"
"""
FILENAME, WHEEL, METADATA = build_wheel(
    "envcli-plugin-good",
    "1.0",
    {"envcli_plugin_good/plugin.py": b"class Plugin: pass\n", "envcli_plugin_good/plugin.toml": MANIFEST},
    entry_points="[envcli.plugins]\ngood = envcli_plugin_good.plugin:Plugin\n",
)


def outcome_of(action: Callable[[], str]) -> str:
    """What an action returns, or the rule that it breaks."""
    try:
        return action()
    except AdmissionError as error:
        return error.rule


def deflated() -> bytes:
    """The good wheel with compressed members, as build backends write it."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(WHEEL)) as old, zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as new:
        for info in old.infolist():
            new.writestr(info.filename, old.read(info))
    return stream.getvalue()


def unseekable() -> bytes:
    """The good wheel as a program writes it that cannot seek: with data descriptors."""

    class Pipe(io.RawIOBase):
        def __init__(self) -> None:
            self.data = bytearray()

        def writable(self) -> bool:
            return True

        def write(self, chunk: bytes) -> int:  # type: ignore[override]
            self.data += chunk
            return len(chunk)

    pipe = Pipe()
    with zipfile.ZipFile(io.BytesIO(WHEEL)) as old, zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as new:
        for info in old.infolist():
            new.writestr(info.filename, old.read(info))
    return bytes(pipe.data)


@pytest.mark.parametrize("content", [WHEEL, deflated(), unseekable()])
def test_good_wheel_passes(content: bytes) -> None:
    wheel = SafeWheel(content, FILENAME)
    identity = parse_filename(FILENAME)
    assert (identity.project, identity.version, identity.kind) == ("envcli-plugin-good", "1.0", "wheel")
    fields = parse_core_metadata(wheel.read_text(f"{wheel.dist_info}/METADATA") or b"", identity)
    assert fields["requires_python"] == ">=3.11"
    assert read_manifest(wheel) == MANIFEST.decode()


@settings(max_examples=300, deadline=None)
@given(position=st.integers(0, len(WHEEL) - 1), value=st.integers(0, 255), delete=st.booleans())
def test_a_changed_byte_is_refused_or_harmless(position: int, value: int, delete: bool) -> None:
    changed = bytearray(WHEEL)
    if delete:
        del changed[position]
    else:
        changed[position] = value
    outcome = outcome_of(lambda: read_manifest(SafeWheel(bytes(changed), FILENAME)))
    # a change in the archive's own fields may be harmless; the hashes in RECORD guard every file
    assert outcome in {MANIFEST.decode(), "archive-unsafe", "archive-too-large"}


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400))
def test_noise_is_no_wheel_and_no_source_archive(noise: bytes) -> None:
    for content in (noise, b"PK\x03\x04" + noise, WHEEL[:200] + noise, noise + WHEEL[-200:]):
        with pytest.raises(AdmissionError):
            SafeWheel(content, FILENAME)
    with pytest.raises(AdmissionError):
        read_source_metadata(noise, "envcli_plugin_good-1.0.tar.gz")


@given(st.text(max_size=60))
def test_accepted_member_names_stay_inside(name: str) -> None:
    try:
        check_member_name(name, FILENAME)
    except AdmissionError:
        return
    assert not name.startswith("/")
    assert ".." not in name.split("/")
    assert "\\" not in name
    assert name.isprintable()


@given(st.text(max_size=80))
def test_file_names_are_understood_or_refused(name: str) -> None:
    for candidate in (name, f"{name}.whl", f"{name}.tar.gz", f"envcli_plugin_{name}-1.0-py3-none-any.whl"):
        outcome = outcome_of(lambda: parse_filename(candidate).project)  # noqa: B023 called at once
        assert outcome in {"filename-invalid", "name-reserved"} or outcome.startswith("envcli-plugin-")


@given(st.binary(max_size=300))
def test_metadata_are_understood_or_refused(noise: bytes) -> None:
    identity = parse_filename(FILENAME)
    for raw in (noise, METADATA + noise, METADATA.replace(b"1.0", noise)):
        outcome = outcome_of(lambda: str(parse_core_metadata(raw, identity)["name"]))  # noqa: B023
        assert outcome in {"metadata-invalid", "metadata-mismatch", "envcli-plugin-good"}


def test_refusals_are_one_printable_line() -> None:
    error = GateError("archive-unsafe", "bad\r\nSet-Cookie: x\x1b[31m" + "y" * 2000, remedy="Fix\nit")
    assert str(error).isprintable()
    assert len(str(error)) <= 500


def test_source_archive_of_another_name_is_refused() -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo("envcli_plugin_good-1.0/README"))
    with pytest.raises(AdmissionError) as caught:
        read_source_metadata(stream.getvalue(), "envcli_plugin_good-1.0.tar.gz")
    assert caught.value.rule == "metadata-invalid"


@pytest.mark.parametrize(
    "field",
    [
        "Summary: a\x1b[2Jb",
        "Author: a \u202eb",
        "License: \x1b]0;x",
        "Keywords: good,\x9b2J",
        "Classifier: Topic :: \x1b[2J",
        "Project-URL: a\x1b, https://example.org/",
        "Description: \x1b[2J",
    ],
)
def test_metadata_that_could_repaint_a_terminal_is_refused(field: str) -> None:
    raw = f"Metadata-Version: 2.1\nName: envcli-plugin-good\nVersion: 1.0\n{field}\n".encode()
    identity = parse_filename(FILENAME)
    assert outcome_of(lambda: str(parse_core_metadata(raw, identity))) == "metadata-invalid"


def test_license_text_is_shown_by_its_first_line() -> None:
    text = "License: MIT License\n        Permission is granted\n"
    raw = f"Metadata-Version: 2.1\nName: envcli-plugin-good\nVersion: 1.0\n{text}".encode()
    assert parse_core_metadata(raw, parse_filename(FILENAME))["license"] == "MIT License"
