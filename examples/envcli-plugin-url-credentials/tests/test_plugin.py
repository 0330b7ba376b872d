"""The rules in this process and in the sandbox."""

import pytest
from envcli_host.workshop.testing import PluginHost
from envcli_sdk import EnvironmentValidation, Finding, ValidationResult, Var

BOTH = pytest.mark.parametrize("sandboxed", [False, True])


def findings(plugin_host: PluginHost, *variables: Var, sandboxed: bool = False) -> tuple[Finding, ...]:
    with plugin_host(sandboxed=sandboxed) as plugin:
        result = plugin.execute(EnvironmentValidation(variables[0].environment, variables))
    assert isinstance(result, ValidationResult)
    return result.findings


URL = "postgres://app:p%40ss:w@db.example.org:5432/shop?sslmode=require"


@BOTH
def test_a_password_is_found_and_not_shown(plugin_host: PluginHost, sandboxed: bool) -> None:
    (found,) = findings(plugin_host, Var("DB_URL", URL, "prod", 3), sandboxed=sandboxed)
    assert (found.rule, found.variable, found.severity) == ("url-credentials", "DB_URL", "error")
    assert "p%40ss" not in found.message


def test_the_only_copy_of_a_password_is_never_repaired_away(plugin_host: PluginHost) -> None:
    (alone,) = findings(plugin_host, Var("DB_URL", URL, "prod"))
    (other,) = findings(plugin_host, Var("DB_URL", URL, "prod"), Var("DB_URL_PASSWORD", "else", "prod"))
    assert alone.fix is None
    assert other.fix is None


@BOTH
def test_once_the_password_is_kept_the_url_can_refer_to_it(plugin_host: PluginHost, sandboxed: bool) -> None:
    kept = Var("DB_URL_PASSWORD", "p%40ss:w", "prod")
    (found,) = findings(plugin_host, Var("DB_URL", URL, "prod"), kept, sandboxed=sandboxed)
    assert found.fix is not None
    assert found.fix.value is not None
    repaired = found.fix.value.value
    assert repaired == "postgres://app:${DB_URL_PASSWORD}@db.example.org:5432/shop?sslmode=require"
    assert findings(plugin_host, Var("DB_URL", repaired, "prod"), kept) == ()


@pytest.mark.parametrize(
    "value",
    [
        "postgres://app:${DB_URL_PASSWORD}@db.example.org/shop",
        "https://app@example.org",
        "https://example.org/a:b@c",
        "not a url",
        "http://[broken",
        "",
    ],
)
def test_nothing_is_found_in_harmless_values(plugin_host: PluginHost, value: str) -> None:
    assert findings(plugin_host, Var("DB_URL", value, "prod")) == ()


def test_other_variables_are_left_alone(plugin_host: PluginHost) -> None:
    assert findings(plugin_host, Var("NOTE", "https://a:b@example.org", "prod")) == ()


@pytest.mark.parametrize(
    ("value", "environment", "found"),
    [
        ("http://localhost:8080", "prod", True),
        ("redis://127.0.0.9", "stage", True),
        ("http://[::1]/", "prod", True),
        ("http://localhost:8080", "dev", False),
        ("https://localhost.example.org", "prod", False),
    ],
)
def test_this_machine(plugin_host: PluginHost, value: str, environment: str, found: bool) -> None:
    assert bool(findings(plugin_host, Var("API_URL", value, environment))) is found
