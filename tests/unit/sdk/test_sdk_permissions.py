"""Scopes follow a grammar, and configuration cannot widen them."""

import pytest
from envcli_sdk import PermissionName, PermissionRequest, ScopeError, resolve_request, verify_scope
from hypothesis import given
from hypothesis import strategies as st


def request(permission: str, scope: str) -> PermissionRequest:
    return PermissionRequest(PermissionName(permission), scope, "why")


@pytest.mark.parametrize(
    ("permission", "scope"),
    [
        ("network:connect", "api.example.org:443"),
        ("network:connect", "secretsmanager.*.amazonaws.com:443"),
        ("network:connect", "127.0.0.1:5000"),
        ("network:connect", "[::1]:8200"),
        ("network:connect", "{config.host}:443"),
        ("network:connect", "example.org:{config.port}"),
        ("network:connect", "{config.url}"),
        ("variable:read", "prod:AWS_*"),
        ("variable:read", "API_*"),
        ("variable:write", "{config.environment}:TOKEN"),
        ("file:read", "./schemas/*.json"),
        ("file:read", "~/.config/tool"),
        ("file:write", "{config.folder}/out"),
        ("api:call", "environments.names"),
        ("api:call", "crypto.*"),
        ("process:spawn", "git"),
        ("system:*", "clipboard"),
    ],
)
def test_scopes_that_hold(permission: str, scope: str) -> None:
    verify_scope(request(permission, scope))


@pytest.mark.parametrize(
    ("permission", "scope"),
    [
        ("network:connect", "*:443"),
        ("network:connect", "*.com:443"),
        ("network:connect", "api*.example.org:443"),
        ("network:connect", "example.org"),
        ("network:connect", "example.org:0"),
        ("network:connect", "https://example.org"),
        ("network:connect", "example.org:*"),
        ("variable:read", "prod:A B"),
        ("variable:read", ""),
        ("file:read", "schemas"),
        ("file:read", "./../x"),
        ("file:read", "~other/x"),
        ("file:read", "/a\n/b"),
        ("api:call", "Environments()"),
        ("process:spawn", "/bin/sh"),
        ("process:spawn", "sh -c"),
        ("variable:read", "x" * 257),
    ],
)
def test_scopes_that_do_not(permission: str, scope: str) -> None:
    with pytest.raises(ScopeError):
        verify_scope(request(permission, scope))


@pytest.mark.parametrize(
    ("scope", "values", "resolved"),
    [
        ("{config.url}", {"url": "http://127.0.0.1:5005/path"}, "127.0.0.1:5005"),
        ("{config.url}", {"url": "https://vault.example.org"}, "vault.example.org:443"),
        ("{config.url}", {"url": "https://[::1]"}, "[::1]:443"),
        ("{config.url}", {"url": "example.org:8200"}, "example.org:8200"),
        ("sm.{config.region}.example.org:443", {"region": "eu-west-1"}, "sm.eu-west-1.example.org:443"),
        ("example.org:{config.port}", {"port": 8200}, "example.org:8200"),
    ],
)
def test_references_are_replaced(scope: str, values: dict[str, object], resolved: str) -> None:
    found = resolve_request(request("network:connect", scope), values)
    assert found is not None
    assert found.scope == resolved


@pytest.mark.parametrize("values", [{}, {"url": None}, {"url": ""}])
def test_an_unset_field_allows_nothing(values: dict[str, object]) -> None:
    assert resolve_request(request("network:connect", "{config.url}"), values) is None


@pytest.mark.parametrize(
    "value", ["*.example.org:443", "https://*", "http://[*]/", "a b:1", "http://:80", "ftp://x"]
)
def test_configuration_brings_no_wildcard_and_no_nonsense(value: str) -> None:
    with pytest.raises(ScopeError):
        resolve_request(request("network:connect", "{config.url}"), {"url": value})


@given(st.sampled_from(list(PermissionName)), st.text(max_size=80))
def test_a_resolved_scope_always_follows_the_grammar(permission: PermissionName, value: str) -> None:
    template = PermissionRequest(permission, "{config.x}", "why")
    try:
        found = resolve_request(template, {"x": value})
    except ScopeError:
        return
    if found is not None:
        verify_scope(found)
        assert not found.references
        assert "*" not in found.scope or permission is PermissionName.SYSTEM
