"""Risk of permissions, differences between sets, and the numbers of the security policy."""

from datetime import UTC, datetime, timedelta

import pytest
from envcli_policy.errors import MalformedError
from envcli_policy.permissions import (
    RiskTier,
    diff_permissions,
    highest_risk,
    load_profiles,
    profile_of,
    risk_of,
)
from envcli_policy.security_policy import Freshness, default_policy, parse_policy
from envcli_sdk import PermissionName, PermissionRequest
from hypothesis import given
from hypothesis import strategies as st

NOW = datetime(2026, 5, 1, tzinfo=UTC)
REQUESTS = st.builds(
    PermissionRequest,
    st.sampled_from(list(PermissionName)),
    st.sampled_from(["a", "b", "*"]),
    st.just("because"),
)


def test_every_permission_has_a_profile_and_no_other() -> None:
    assert set(load_profiles()) == set(PermissionName)


@pytest.mark.parametrize(
    ("permission", "scope", "risk"),
    [
        ("file:read", "./schemas/*.json", RiskTier.MEDIUM),
        ("file:read", "~/.ssh/id_rsa", RiskTier.CRITICAL),
        ("file:read", "~/.SSH/id_rsa", RiskTier.CRITICAL),
        ("file:write", "/etc/passwd", RiskTier.CRITICAL),
        ("network:connect", "api.example.org:443", RiskTier.MEDIUM),
        ("network:connect", "*.amazonaws.com:443", RiskTier.MEDIUM),
        ("network:connect", "*:443", RiskTier.HIGH),
        ("network:connect", "169.254.169.254:80", RiskTier.CRITICAL),
        ("variable:read", "prod:AWS_*", RiskTier.MEDIUM),
        ("variable:read", "prod:*", RiskTier.HIGH),
        ("api:call", "environments.names", RiskTier.LOW),
        ("process:spawn", "git", RiskTier.CRITICAL),
    ],
)
def test_broad_and_sensitive_scopes_weigh_more(permission: str, scope: str, risk: RiskTier) -> None:
    assert risk_of(PermissionRequest(PermissionName(permission), scope, "because")) is risk


def test_an_unknown_permission_is_critical() -> None:
    assert profile_of("clock:stop").tier is RiskTier.CRITICAL
    assert profile_of("system:clipboard").tier is RiskTier.CRITICAL


@given(st.lists(REQUESTS, max_size=6), st.lists(REQUESTS, max_size=6))
def test_a_difference_adds_up(old: list[PermissionRequest], new: list[PermissionRequest]) -> None:
    diff = diff_permissions(old, new)
    assert {*diff.kept, *diff.added} == set(new)
    assert {*diff.kept, *diff.removed} == set(old)
    assert diff.is_widening == (not set(new) <= set(old))
    assert diff.risk == highest_risk(diff.added)
    assert [risk_of(one).rank for one in diff.added] == sorted(
        (risk_of(one).rank for one in diff.added), reverse=True
    )


@pytest.mark.parametrize(
    ("days", "normal", "strict"),
    [
        (0, Freshness.FRESH, Freshness.FRESH),
        (2, Freshness.FRESH, Freshness.WARN),
        (3, Freshness.WARN, Freshness.WARN),
        (8, Freshness.WARN, Freshness.REFUSE),
        (30, Freshness.REFUSE, Freshness.REFUSE),
        (-1, Freshness.REFUSE, Freshness.REFUSE),
    ],
)
def test_runs_grow_wary_with_the_age_of_trust(days: int, normal: Freshness, strict: Freshness) -> None:
    policy = default_policy()
    signed = NOW - timedelta(days=days)
    assert policy.run_freshness(signed, NOW) is normal
    assert policy.run_freshness(signed, NOW, strict=True) is strict


@pytest.mark.parametrize("text", ["", "version = 2", "not toml", "version = 1\n[freshness]\n[release]\n"])
def test_a_broken_policy_is_refused(text: str) -> None:
    with pytest.raises(MalformedError):
        parse_policy(text)
