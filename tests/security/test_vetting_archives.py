"""Hostile archives: each is refused by its rule, within bounds, and nothing of it reaches the disk."""

import io
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from common.plugin_wheels import ENTRY_POINTS, PACKAGE, manifest, plugin_wheel
from envcli_vetting import ArchiveError, Verdict, run_checks
from envcli_vetting.checks.archive import inspect_sdist, inspect_wheel
from envcli_vetting.zip_structure import ArchiveLimits, parse_zip
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

LIMITS = ArchiveLimits()


def rules(path: Path, limits: ArchiveLimits = LIMITS) -> set[str]:
    return {one.rule for one in inspect_wheel(path, limits)}


def rewrite(path: Path, change: Callable[[zipfile.ZipFile], None], *, drop: str = "") -> Path:
    """Copy the members into a new archive, without `drop`, then change it."""
    with zipfile.ZipFile(path) as old:
        members = {info.filename: old.read(info) for info in old.infolist() if info.filename != drop}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name, data in members.items():
            new.writestr(name, data)
        change(new)
    return path


def test_an_ordinary_wheel_is_accepted(tmp_path: Path) -> None:
    assert rules(plugin_wheel(tmp_path)) == set()


@pytest.mark.parametrize(
    "name",
    ["../evil.py", "/etc/evil", "a/../../evil", "a//b", "./a", "a\\b", "C:evil", "a/\x1b[0m", "a/b ", "a/b.",
     "a" * 300, "e\u0301.py"],
)  # fmt: skip
def test_names_that_leave_the_folder_or_read_differently(tmp_path: Path, name: str) -> None:
    path = rewrite(plugin_wheel(tmp_path), lambda archive: archive.writestr(name, b"x"))
    assert "archive-unsafe" in rules(path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", [f"{PACKAGE}/plugin.py", f"{PACKAGE}/PLUGIN.py", f"{PACKAGE}/plugin.py/x"])
def test_one_name_twice(tmp_path: Path, name: str) -> None:
    path = rewrite(plugin_wheel(tmp_path), lambda archive: archive.writestr(name, b"x"))
    assert rules(path) == {"archive-duplicate"}


def test_links_and_special_files(tmp_path: Path) -> None:
    for mode in (0o120777, 0o010644, 0o060644):
        info = zipfile.ZipInfo(f"{PACKAGE}/link")
        info.external_attr = mode << 16
        path = rewrite(
            plugin_wheel(tmp_path), lambda archive, one=info: archive.writestr(one, b"/etc/passwd")
        )
        assert rules(path) == {"archive-unsafe"}


def test_a_bomb_by_ratio_is_not_unpacked(tmp_path: Path) -> None:
    path = rewrite(
        plugin_wheel(tmp_path), lambda archive: archive.writestr(f"{PACKAGE}/zeros", b"\0" * (40 << 20))
    )
    assert rules(path) == {"archive-bomb"}


def test_a_bomb_by_number_of_members(tmp_path: Path) -> None:
    def fill(archive: zipfile.ZipFile) -> None:
        for number in range(200):
            archive.writestr(f"{PACKAGE}/{number}", b"")

    assert rules(rewrite(plugin_wheel(tmp_path), fill), ArchiveLimits(members=100)) == {"archive-too-large"}


def test_a_header_that_lies_about_the_size(tmp_path: Path) -> None:
    path = rewrite(
        plugin_wheel(tmp_path), lambda archive: archive.writestr(f"{PACKAGE}/big", b"\0" * 100_000)
    )
    data = path.read_bytes()
    size = struct.pack("<L", 100_000)
    assert data.count(size) >= 2
    path.write_bytes(data.replace(size, struct.pack("<L", 10)))
    assert rules(path) == {"archive-damaged"}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: b"MZ" + data,
        lambda data: data + b"x",
        lambda data: data[:-2] + b"\x01\x00x",
        lambda data: data[:-22] + b"gap!" + data[-22:],
        lambda data: data[: len(data) // 2],
        lambda data: data + data,
        lambda _data: b"",
        lambda _data: b"PK\x05\x06" + b"\0" * 18,
        lambda data: data.replace(b"plugin.toml", b"plugin.tomk", 1),
    ],
)
def test_archives_with_two_readings(tmp_path: Path, spoil: Callable[[bytes], bytes]) -> None:
    path = plugin_wheel(tmp_path)
    path.write_bytes(spoil(path.read_bytes()))
    assert rules(path) <= {"archive-confusing", "archive-damaged", "wheel-dist-info"}
    assert rules(path)


def test_a_hidden_member_between_the_listed_ones(tmp_path: Path) -> None:
    path = plugin_wheel(tmp_path)
    hidden = io.BytesIO()
    with zipfile.ZipFile(hidden, "w") as archive:
        archive.writestr("evil.py", b"x")
    local = hidden.getvalue()[: 30 + len("evil.py") + 1]
    data = path.read_bytes()
    directory = struct.unpack_from("<L", data, len(data) - 6)[0]
    grown = (
        data[:directory] + local + data[directory:-6] + struct.pack("<L", directory + len(local)) + data[-2:]
    )
    path.write_bytes(grown)
    assert rules(path) == {"archive-confusing"}


@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_no_damage_breaks_the_reader(tmp_path: Path, data: st.DataObject) -> None:
    content = bytearray(plugin_wheel(tmp_path).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        archive = parse_zip(bytes(content), LIMITS)
        for member in archive.files:
            archive.read(member)
    except ArchiveError:
        return
    assert {member.name for member in archive.files}


@pytest.mark.parametrize(
    ("name", "content", "rule"),
    [
        ("evil.pth", b"import os", "runs-on-start"),
        ("sitecustomize.py", b"", "runs-on-start"),
        (f"{PACKAGE}/usercustomize.py", b"", "runs-on-start"),
        (f"{PACKAGE}-1.0.data/scripts/git", b"#!python", "installs-outside"),
        (f"{PACKAGE}-1.0.data/purelib/x.py", b"", "installs-outside"),
        (f"{PACKAGE}/x.pyc", b"", "compiled-python"),
        (f"{PACKAGE}/__pycache__/x.py", b"", "compiled-python"),
        (f"{PACKAGE}/x.so", b"", "native-code-hidden"),
        (f"{PACKAGE}/notes.txt", b"\x7fELF\x02\x01\x01", "native-code-hidden"),
        (f"{PACKAGE}/x.bin", b"MZ\x90\x00", "native-code-hidden"),
    ],
)
def test_members_that_run_or_hide(tmp_path: Path, name: str, content: bytes, rule: str) -> None:
    assert rules(plugin_wheel(tmp_path, extra={name: content})) == {rule}


def test_native_code_in_a_platform_wheel_goes_to_a_person(tmp_path: Path) -> None:
    path = plugin_wheel(tmp_path, extra={f"{PACKAGE}/x.so": b""}, tag="cp311-cp311-manylinux_2_28_x86_64")
    assert [(one.rule, one.severity) for one in inspect_wheel(path, LIMITS)] == [("native-code", "review")]


def test_record_must_name_every_file_with_its_hash(tmp_path: Path) -> None:
    added = rewrite(plugin_wheel(tmp_path), lambda archive: archive.writestr(f"{PACKAGE}/extra.py", b"x"))
    assert rules(added) == {"record-mismatch"}
    missing = rewrite(plugin_wheel(tmp_path), lambda _archive: None, drop=f"{PACKAGE}/plugin.py")
    assert rules(missing) == {"record-mismatch"}
    without = rewrite(plugin_wheel(tmp_path), lambda _archive: None, drop=f"{PACKAGE}-1.0.dist-info/RECORD")
    assert rules(without) == {"record-mismatch"}


def test_two_dist_info_folders(tmp_path: Path) -> None:
    path = plugin_wheel(tmp_path, extra={"other-1.0.dist-info/METADATA": b""})
    assert rules(path) == {"wheel-dist-info"}


def test_nothing_of_an_unsafe_archive_is_looked_at(tmp_path: Path) -> None:
    path = rewrite(plugin_wheel(tmp_path), lambda archive: archive.writestr("../evil.py", b"x"))
    report = run_checks([path])
    assert report.verdict is Verdict.FAILED
    assert {one.outcome for one in report.results if one.check != "archive"} == {"skipped"}
    assert not (tmp_path.parent / "evil.py").exists()


def _sdist(folder: Path, *members: tuple[str, bytes, bytes]) -> Path:
    path = folder / "envcli_plugin_sample-1.0.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name, kind, content in members:
            info = tarfile.TarInfo(name)
            info.type, info.size, info.linkname = kind, len(content), "/etc/passwd"
            archive.addfile(info, io.BytesIO(content))
    return path


TOP = "envcli_plugin_sample-1.0"


@pytest.mark.parametrize(
    "member",
    [
        (f"{TOP}/link", tarfile.SYMTYPE, b""),
        (f"{TOP}/link", tarfile.LNKTYPE, b""),
        (f"{TOP}/pipe", tarfile.FIFOTYPE, b""),
        (f"{TOP}/device", tarfile.CHRTYPE, b""),
        (f"{TOP}/../../evil", tarfile.REGTYPE, b"x"),
        ("/etc/evil", tarfile.REGTYPE, b"x"),
        ("elsewhere/x", tarfile.REGTYPE, b"x"),
    ],
)
def test_source_archives_with_links_or_ways_out(tmp_path: Path, member: tuple[str, bytes, bytes]) -> None:
    assert [one.rule for one in inspect_sdist(_sdist(tmp_path, member), LIMITS)] == ["archive-unsafe"]


def test_source_archives_that_swell_or_break(tmp_path: Path) -> None:
    good = _sdist(tmp_path, (f"{TOP}/a.py", tarfile.REGTYPE, b"\0" * (2 << 20)))
    assert inspect_sdist(good, LIMITS) == ()
    assert [one.rule for one in inspect_sdist(good, ArchiveLimits(total_bytes=1 << 20))] == ["archive-bomb"]
    good.write_bytes(good.read_bytes()[:100])
    assert [one.rule for one in inspect_sdist(good, LIMITS)] == ["archive-damaged"]
    good.write_bytes(b"no archive")
    assert [one.rule for one in inspect_sdist(good, LIMITS)] == ["archive-damaged"]


def test_the_helper_makes_what_it_says(tmp_path: Path) -> None:
    assert "envcli.plugins" in ENTRY_POINTS
    assert 'id = "sample"' in manifest()
    assert plugin_wheel(tmp_path).suffix == ".whl"
