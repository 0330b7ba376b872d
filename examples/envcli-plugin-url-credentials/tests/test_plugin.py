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


@BOTH
def test_a_password_moves_to_its_own_variable(plugin_host: PluginHost, sandboxed: bool) -> None:
    var = Var("DB_URL", "postgres://app:p%40ss:w@db.example.org:5432/shop?sslmode=require", "prod", 3)
    secret, url = findings(plugin_host, var, sandboxed=sandboxed)
    assert secret.fix is not None
    assert secret.fix.value is not None
    assert (secret.variable, secret.fix.value.value) == ("DB_URL_PASSWORD", "p%40ss:w")
    assert url.fix is not None
    assert url.fix.value is not None
    assert url.fix.value.value == "postgres://app:${DB_URL_PASSWORD}@db.example.org:5432/shop?sslmode=require"
    assert "p%40ss" not in secret.message + url.message + repr(secret) + repr(url)


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


def test_the_repaired_value_is_found_clean(plugin_host: PluginHost) -> None:
    _, url = findings(plugin_host, Var("DB_DSN", "mysql://a:b@c.example/d", "prod"))
    assert url.fix is not None
    assert url.fix.value is not None
    assert findings(plugin_host, Var("DB_DSN", url.fix.value.value, "prod")) == ()


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
