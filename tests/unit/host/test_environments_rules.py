"""Secrets, comparison of environments and the built-in validation rules."""

from pathlib import Path

import pytest
from envcli_host.environments.project import Project
from envcli_host.environments.secrecy import MASK, is_secret, shown
from envcli_host.environments.sync import Endpoint, compare, parse_endpoint, verify_names
from envcli_host.environments.validation import validate
from envcli_host.errors import EnvironmentStoreError, UsageError


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("API_KEY", "x"),
        ("aws_secret_access_key", "x"),
        ("DB_PASSWORD", "x"),
        ("GITHUB_TOKEN", "x"),
        ("TOKEN", "x"),
        ("DATABASE_URL", "postgres://user:pw@db/x"),
        ("ANYTHING", "-----BEGIN RSA PRIVATE KEY-----\nx"),
        ("ANYTHING", "AKIAABCDEFGHIJKLMNOP"),
        ("ANYTHING", "ghp_abcdefghijklmnopqrst1234"),
        ("ANYTHING", "a1" * 20),
        ("COMPANY_ID", "x"),
    ],
)
def test_secrets_are_recognised(name: str, value: str) -> None:
    assert is_secret(name, value, ("COMPANY_*",))
    assert shown(name, value, ("COMPANY_*",)) == MASK


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HOST", "localhost"),
        ("KEYBOARD", "de"),
        ("DATABASE_URL", "postgres://db/x"),
        ("MONKEY_NAME", "x"),
        ("PATHS", "/a:/b"),
    ],
)
def test_ordinary_values_are_not(name: str, value: str) -> None:
    assert not is_secret(name, value)
    assert shown(name, value) == value


def test_the_mask_does_not_tell_the_length() -> None:
    assert shown("A_TOKEN", "x") == shown("A_TOKEN", "x" * 99)
    assert shown("A_TOKEN", "") == ""


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("prod", Endpoint("prod")),
        ("aws-sm:prod", Endpoint("prod", "aws-sm")),
        ("aws-sm@eu:team/prod", Endpoint("team/prod", "aws-sm", "eu")),
    ],
)
def test_endpoints(text: str, endpoint: Endpoint) -> None:
    assert parse_endpoint(text) == endpoint
    assert str(endpoint) == text


@pytest.mark.parametrize("text", ["", ":prod", "aws-sm:", "AWS:prod"])
def test_malformed_endpoints(text: str) -> None:
    with pytest.raises(UsageError):
        parse_endpoint(text)


def test_comparison() -> None:
    difference = compare({"A": "1", "B": "2", "C": "3"}, {"B": "2", "C": "0", "D": "4"})

    assert difference.changes(delete=False) == {"A": "1", "C": "3"}
    assert difference.changes(delete=True) == {"A": "1", "C": "3", "D": None}
    assert not compare({"A": "1"}, {"A": "1"})


@pytest.mark.parametrize("values", [{"A B": "1"}, {"A": "x\0y"}, {"A\nB": "1"}])
def test_names_and_values_from_outside_are_checked(values: dict[str, str]) -> None:
    with pytest.raises(EnvironmentStoreError, match="store:prod"):
        verify_names(values, "store:prod")


@pytest.mark.parametrize(
    ("text", "rules"),
    [
        ("PORT=80\nHOST=h", set()),
        ("PORT=80", {"required"}),
        ("PORT=80\nHOST=", {"required"}),
        ("PORT=http\nHOST=h", {"format"}),
        ("PORT=80\nHOST=h\nA_TOKEN=", {"empty-secret"}),
        ("PORT=80\nHOST=h\nA_TOKEN=changeme", {"placeholder"}),
        ("PORT=80\nHOST=h\nA_TOKEN=short", {"short-secret"}),
        ("PORT=80\nHOST=h\nHOST=i", {"duplicate"}),
        ("PORT=80\nHOST=a#b", {"comment-without-space"}),
        ("PORT=80\nHOST=a #b", set()),
        ("PORT=80\nHOST=h\na.b=1", {"portable-name"}),
    ],
)
def test_built_in_rules(tmp_path: Path, text: str, rules: set[str]) -> None:
    project = Project.create(tmp_path, ("dev",))
    (project.folder / "config.toml").write_text(
        "[validation]\nrequired = ['HOST']\nformats.PORT = '[0-9]+'\n"
    )
    project.file_of("dev").write_text(text)

    assert {finding.rule for finding in validate(Project.open(tmp_path), "dev")} == rules


def test_findings_hold_no_secret(tmp_path: Path) -> None:
    project = Project.create(tmp_path, ("dev",))
    project.file_of("dev").write_text("A_TOKEN=hunter2\nB_TOKEN=changeme\n")

    assert not [f for f in validate(project, "dev") if "hunter2" in f.message or "changeme" in f.message]
