"""Addresses, fingerprints, tokens, requirements and wheels: the parts of the marketplace client."""

import base64
import json
import sys
from pathlib import Path

import pytest
from envcli_host.config import HostPaths
from envcli_host.errors import ConfigError, UnknownIndexError, UsageError, VerificationError
from envcli_host.marketplace.account import issuer_of, read_token, store_token
from envcli_host.marketplace.closure import best_wheel, split_requirements
from envcli_host.marketplace.indexes import (
    IndexRecord,
    default_name,
    index_dir,
    load_indexes,
    parse_fingerprint,
    parse_url,
    select_indexes,
    store_index,
)
from envcli_host.marketplace.model import OfferFile
from hypothesis import given
from hypothesis import strategies as st

HERE = f"cp{sys.version_info.major}{sys.version_info.minor}"


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HostPaths:
    monkeypatch.delenv("ENVCLI_TOKEN", raising=False)
    return HostPaths.below(tmp_path)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://plugins.example.org", "https://plugins.example.org/"),
        ("https://plugins.example.org/a/", "https://plugins.example.org/a/"),
        ("http://127.0.0.1:3141", "http://127.0.0.1:3141/"),
        ("http://[::1]:3141/", "http://[::1]:3141/"),
        ("http://localhost/", "http://localhost/"),
    ],
)
def test_addresses(text: str, url: str) -> None:
    assert parse_url(text) == url


@pytest.mark.parametrize(
    "text",
    [
        "http://plugins.example.org",
        "http://127.0.0.1.example.org",
        "http://localhost.example.org",
        "http://0.0.0.0",
        "ftp://localhost",
        "plugins.example.org",
        "https://user:pw@example.org",
        "https://example.org/?a=b",
        "https://example.org/#x",
        "file:///etc",
        "",
    ],
)
def test_unsafe_addresses_are_refused_without_showing_credentials(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_url(text)
    assert "pw" not in str(caught.value)


def test_fingerprints_may_be_grouped() -> None:
    plain = "ab" * 32

    assert parse_fingerprint(f"SHA256:{plain.upper()}") == plain
    assert parse_fingerprint(":".join(["AB"] * 32) + "\n") == plain
    for wrong in ("", plain[:-1], plain + "0", "x" * 64):
        with pytest.raises(UsageError):
            parse_fingerprint(wrong)


@given(st.text())
def test_fingerprints_are_hexadecimal_or_refused(text: str) -> None:
    try:
        found = parse_fingerprint(text)
    except UsageError:
        return
    assert len(bytes.fromhex(found)) == 32


def test_indexes_are_kept_in_order(paths: HostPaths) -> None:
    records = [IndexRecord(name, f"https://{name}.example.org/", "0" * 64) for name in ("b", "a")]
    for record in records:
        store_index(record, b"{}", paths)

    assert load_indexes(paths) == tuple(records)
    assert select_indexes(paths, "a") == (records[1],)
    with pytest.raises(UnknownIndexError, match="Choose one of: b, a"):
        select_indexes(paths, "c")


def test_no_index_names_the_remedy(paths: HostPaths) -> None:
    with pytest.raises(UnknownIndexError, match="envcli index add URL"):
        select_indexes(paths)


@pytest.mark.parametrize(
    "text",
    [
        "x =",
        "indexes = 1",
        "[indexes.a]\nurl = 'https://a/'",
        "[indexes.'../a']\nurl = 'https://a/'\nroot_sha256 = '" + "0" * 64 + "'",
        "[indexes.a]\nurl = 'https://a/'\nroot_sha256 = 'short'",
    ],
)
def test_a_malformed_list_is_refused(paths: HostPaths, text: str) -> None:
    paths.config.mkdir()
    paths.indexes_file.write_text(text)

    with pytest.raises(ConfigError, match="is malformed"):
        load_indexes(paths)


@pytest.mark.parametrize("name", ["..", "a/b", "A", "", "-a", "x" * 65])
def test_unsafe_index_names_are_refused(paths: HostPaths, name: str) -> None:
    with pytest.raises(UsageError):
        index_dir(name, paths)


def test_names_come_from_hosts() -> None:
    assert default_name("https://plugins.example.org/x/") == "plugins-example-org"
    assert default_name("http://127.0.0.1:99/") == "127-0-0-1"


def test_a_token_file_that_others_can_read_is_refused(paths: HostPaths) -> None:
    store_token(token("https://web.example.org"), paths)
    assert read_token(paths) == token("https://web.example.org")
    paths.token_file.chmod(0o644)

    with pytest.raises(ConfigError, match="chmod 600"):
        read_token(paths)


def test_the_variable_wins_over_the_file(paths: HostPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    store_token(token("https://web.example.org"), paths)
    monkeypatch.setenv("ENVCLI_TOKEN", "envcli-x")

    assert read_token(paths) == "envcli-x"


@pytest.mark.parametrize(
    "text", ["", "envcli-", "envcli-a.b.c", "pypi-x", "envcli-e30.e30.e30", "envcli-e30.MQ.x"]
)
def test_what_names_no_issuer_has_none(text: str) -> None:
    assert issuer_of(text) is None


@given(st.text())
def test_any_text_is_a_token_or_not(text: str) -> None:
    assert issuer_of(f"envcli-{text}") is None or "." in text


def test_requirements_are_split_by_kind_and_marker() -> None:
    metadata = b"""Metadata-Version: 2.4
Name: envcli-plugin-demo
Requires-Dist: boto3>=1
Requires-Dist: Envcli_Plugin.Base>=2 ; python_version >= "3"
Requires-Dist: pywin32 ; sys_platform == "win32"
Requires-Dist: extra-only ; extra == "more"

The description: Requires-Dist: not-this
"""

    assert split_requirements(metadata, "demo") == (("Envcli_Plugin.Base>=2",), ("boto3>=1",))


@pytest.mark.parametrize(
    "line", ["boto3 @ https://evil.example.org/x.whl", "???", "a ; no_such_marker == 'x'"]
)
def test_unusable_requirements_are_refused(line: str) -> None:
    with pytest.raises(VerificationError):
        split_requirements(f"Requires-Dist: {line}\n\n".encode(), "demo")


def test_the_most_specific_wheel_wins() -> None:
    names = [
        "demo-1.0-py3-none-any.whl",
        f"demo-1.0-{HERE}-none-any.whl",
        "demo-1.0-cp39-cp39-win_amd64.whl",
        "not-a-wheel.txt",
    ]
    files = [OfferFile(name, "0" * 64, "") for name in names]

    assert best_wheel(files) == files[1]
    assert best_wheel(files[2:]) is None


def token(issuer: str) -> str:
    """A token whose signature nobody checks."""
    claims = base64.urlsafe_b64encode(json.dumps({"iss": issuer}).encode()).rstrip(b"=").decode()
    return f"envcli-e30.{claims}.c2ln"
