"""The manifest is read strictly, says where it is wrong, and never fails in any other way."""

import contextlib
import tomllib

import pytest
from envcli_sdk import ManifestError, PluginType, metadata_from, parse_manifest
from envcli_sdk.manifest import MAX_BYTES
from hypothesis import given
from hypothesis import strategies as st

GOOD = """schema = 1
id = "aws-secrets"
type = "integration"
minimum_host_version = "0.1"

[[contributes]]
kind = "scheme"
name = "aws-sm"
summary = "AWS Secrets Manager"

[[permissions]]
permission = "network:connect"
scope = "{config.endpoint_url}"
reason = "To reach the store"

[[permissions]]
permission = "variable:read"
scope = "{config.environment}:AWS_*"
reason = "Credentials"

[config.endpoint_url]
type = "string"
help = "Address of the store"

[config.environment]
type = "string"
default = "local"

[config.token]
type = "secret"
required = true
"""


def test_a_good_manifest() -> None:
    found = parse_manifest(GOOD.encode())

    assert (found.id, found.type, found.text) == ("aws-secrets", PluginType.INTEGRATION, GOOD)
    assert [request.references for request in found.permissions] == [("endpoint_url",), ("environment",)]
    assert [(field.name, field.required) for field in found.config] == [
        ("endpoint_url", False),
        ("environment", False),
        ("token", True),
    ]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("schema = 1", "schema = 2", "line 1: schema: schema 2 is unknown"),
        ("schema = 1", "schema = true", "schema True is unknown"),
        ('id = "aws-secrets"', 'id = "AWS"', "line 2: id: id must be lower-case"),
        ('id = "aws-secrets"\n', "", "key 'id' is missing"),
        ('id = "aws-secrets"', 'id = "aws-secrets"\nhook = 1', "line 3: hook: unknown key 'hook'"),
        ('type = "integration"', 'type = "magic"', "line 3: type: unknown type 'magic'; known are command"),
        ('kind = "scheme"', 'kind = "spell"', "line 6: contributes[0]: unknown kind 'spell'"),
        ('kind = "scheme"', 'kind = "rule"', "must contribute a scheme"),
        ('"network:connect"', '"network:listen"', "line 11: permissions[0]: unknown permission"),
        ('"variable:read"', '"variable:steal"', "line 16: permissions[1]: unknown permission"),
        ('scope = "{config.environment}:AWS_*"', 'scope = "a b"', "line 16: permissions[1]: scope: 'a b'"),
        ("{config.endpoint_url}", "{config.missing}", "config.missing, which is no string"),
        ("{config.endpoint_url}", "{config.token}", "config.token, which is no string"),
        ("{config.endpoint_url}", "*:443", "two fixed labels"),
        ("{config.endpoint_url}", "example.org:99999", "between 1 and 65535"),
        ("{config.endpoint_url}", "example.org", "no scope of network:connect"),
        ('reason = "Credentials"', 'reason = ""', "reason must be one line"),
        ('reason = "Credentials"', 'reason = "a\\u001b[2Jb"', "reason must be one line"),
        ('reason = "Credentials"', 'reason = "a\\u202eb"', "reason must be one line"),
        (
            'type = "string"\ndefault = "local"',
            'type = "integer"\ndefault = "local"',
            "default must be of type integer",
        ),
        ('type = "secret"', 'type = "secret"\ndefault = "x"', "a secret takes no default"),
        ('type = "secret"', 'type = "password"', "unknown type 'password'"),
        ("required = true", 'required = "yes"', "required must be true or false"),
        ("[config.token]", "[config.Token]", "must be a table"),
        ("[[contributes]]", "[contributes]", "contributes must be tables"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(old: str, new: str, message: str) -> None:
    assert old in GOOD
    with pytest.raises(ManifestError) as raised:
        parse_manifest(GOOD.replace(old, new, 1))
    assert message in str(raised.value)
    assert str(raised.value).startswith("plugin.toml")


def test_broken_toml_tells_the_line() -> None:
    with pytest.raises(ManifestError, match="line 2"):
        parse_manifest("schema = 1\nid = =\n")


@pytest.mark.parametrize(
    "raw", [b"\xff\xfe", b"x" * (MAX_BYTES + 1), b"a = " + b"[" * 5000, b"", "\ud800"], ids=range(5)
)
def test_what_is_no_text_is_refused(raw: bytes | str) -> None:
    with pytest.raises(ManifestError):
        parse_manifest(raw)


def test_too_many_entries_are_refused() -> None:
    entry = '[[permissions]]\npermission = "api:call"\nscope = "environments.names"\nreason = "x"\n'
    with pytest.raises(ManifestError, match="65 entries; the limit is 64"):
        parse_manifest(GOOD.partition("[[permissions]]")[0] + entry * 65)


@given(st.binary(max_size=400))
def test_any_bytes_parse_or_are_refused(raw: bytes) -> None:
    with contextlib.suppress(ManifestError):
        parse_manifest(raw)


LINES = GOOD.splitlines(keepends=True)


@given(
    st.lists(st.sampled_from(LINES), max_size=len(LINES)),
    st.dictionaries(st.integers(0, len(LINES) - 1), st.text(max_size=20), max_size=4),
)
def test_any_shuffling_of_lines_parses_or_is_refused(lines: list[str], inserted: dict[int, str]) -> None:
    text = "".join(inserted.get(index, "") + line for index, line in enumerate(lines))
    try:
        found = parse_manifest(text)
    except ManifestError:
        return
    assert found.text == text
    assert tomllib.loads(text)["id"] == found.id


def test_metadata_joins_manifest_and_core_metadata() -> None:
    text = (
        "Metadata-Version: 2.4\nName: Envcli_Plugin.AWS\nVersion: 1.2\nSummary: Secrets\nAuthor-Email: A <a@b.c>\n"
        "License-Expression: MIT\nRequires-Dist: boto3>=1\nRequires-Dist: envcli-sdk\n\nName: not-this\n"
    )
    found = metadata_from(parse_manifest(GOOD), text.encode())

    assert (found.id, found.name, found.version) == ("aws-secrets", "envcli-plugin-aws", "1.2")
    assert (found.description, found.author, found.license) == ("Secrets", "A <a@b.c>", "MIT")
    assert (found.dependencies, found.minimum_host_version) == (("boto3>=1", "envcli-sdk"), "0.1")
    assert found.permissions == parse_manifest(GOOD).permissions


def test_metadata_without_name_is_refused() -> None:
    with pytest.raises(ManifestError, match="lacks Name"):
        metadata_from(parse_manifest(GOOD), "Version: 1\n")
