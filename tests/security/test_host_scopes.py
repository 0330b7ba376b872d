"""No spelling of a scope makes it look harmless, and none reaches further than it reads."""

import pytest
from envcli_policy.permissions import RiskTier, risk_of
from envcli_sdk.errors import ScopeError
from envcli_sdk.permissions import PermissionName, PermissionRequest, resolve_request, verify_scope


def request(permission: str, scope: str) -> PermissionRequest:
    return PermissionRequest(PermissionName(permission), scope, "to work")


@pytest.mark.parametrize(
    ("permission", "scope"),
    [
        ("file:read", "/./home/alice/.ssh"),
        ("file:read", "//home/alice/.ssh"),
        ("file:read", "~//.ssh"),
        ("file:read", "~/./.ssh/id_rsa"),
        ("file:write", "./a/./b"),
        ("network:connect", "[::ffff:169.254.169.254]:80"),
        ("network:connect", "[::ffff:a9fe:a9fe]:80"),
        ("network:connect", "[2002:a9fe:a9fe::]:80"),
        ("network:connect", "[64:ff9b::a9fe:a9fe]:80"),
        ("network:connect", "[0:0:0:0:0:0:0:1]:80"),
        ("network:connect", "[:::]:80"),
        ("network:connect", "2852039166:80"),
        ("network:connect", "0xa9.0xfe.0xa9.0xfe:80"),
        ("network:connect", "0251.0376.0251.0376:80"),
        ("network:connect", "169.254.43518:80"),
        ("network:connect", "127.1:80"),
    ],
)
def test_hidden_spellings_are_no_scopes(permission: str, scope: str) -> None:
    with pytest.raises(ScopeError):
        verify_scope(request(permission, scope))


@pytest.mark.parametrize(
    "scope", ["127.0.0.1:80", "[::1]:8200", "[2606:4700::1111]:443", "x1.2.example.org:1", "a.b3:9"]
)
def test_honest_addresses_still_are(scope: str) -> None:
    verify_scope(request("network:connect", scope))


@pytest.mark.parametrize("scope", ["./data/", "~/notes", "/srv/data/*.json", "./a.b/.c"])
def test_honest_paths_still_are(scope: str) -> None:
    verify_scope(request("file:read", scope))


@pytest.mark.parametrize(
    ("permission", "scope", "least"),
    [
        ("file:read", "~/[.]ssh/id_*", RiskTier.CRITICAL),
        ("file:read", "~/?ssh/*", RiskTier.CRITICAL),
        ("file:read", "/hom[e]/alice/.ssh/*", RiskTier.CRITICAL),
        ("file:read", "/e*/shadow", RiskTier.CRITICAL),
        ("variable:read", "**", RiskTier.HIGH),
        ("variable:read", "prod:**", RiskTier.HIGH),
        ("variable:read", "*:A*", RiskTier.HIGH),
        ("variable:write", "dev:LD_*", RiskTier.CRITICAL),
        ("variable:write", "dev:BASH_ENV", RiskTier.CRITICAL),
        ("network:connect", "[fd00:ec2::254]:80", RiskTier.CRITICAL),
        ("network:connect", "[fe80::a9fe:a9fe]:80", RiskTier.CRITICAL),
        ("network:connect", "168.63.129.16:80", RiskTier.CRITICAL),
        ("network:connect", "100.100.100.200:80", RiskTier.CRITICAL),
    ],
)
def test_broad_scopes_are_not_played_down(permission: str, scope: str, least: RiskTier) -> None:
    found = request(permission, scope)
    verify_scope(found)

    assert risk_of(found).rank >= least.rank


@pytest.mark.parametrize("value", ["[!_]x", "[a-z]", "*", "a?c"])
def test_configuration_brings_no_wildcard_into_a_path(value: str) -> None:
    with pytest.raises(ScopeError):
        resolve_request(request("file:read", "./data/{config.name}"), {"name": value})
