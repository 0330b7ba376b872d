"""How much harm a permission can do: a risk tier for every request, and the difference between two sets.

Tiers and the scopes that raise them stand in ``data/permissions.toml``; a permission without an entry there
is critical, so a new permission can never be taken for harmless by omission.
"""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from envcli_sdk import PermissionRequest


_WILDCARDS = frozenset("*?[")
_TELLING_CHARACTERS = 3


class RiskTier(StrEnum):
    """Ordered: low < medium < high < critical. Compare by `rank`."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """0 for low up to 3 for critical."""
        return list(RiskTier).index(self)


@dataclass(frozen=True, slots=True)
class PermissionProfile:
    """One permission: its tier, the scope patterns that raise it, and words for people."""

    tier: RiskTier
    title: str
    explanation: str
    raised: tuple[tuple[str, RiskTier], ...] = ()


@dataclass(frozen=True, slots=True)
class PermissionDiff:
    """What changed from an old set of requests to a new one, each tuple sorted by falling risk."""

    added: tuple[PermissionRequest, ...]
    removed: tuple[PermissionRequest, ...]
    kept: tuple[PermissionRequest, ...]

    @property
    def is_widening(self) -> bool:
        """Whether the new set allows anything that the old one did not."""
        return bool(self.added)

    @property
    def risk(self) -> RiskTier:
        """The highest risk among what was added; low when nothing was."""
        return highest_risk(self.added)


def risk_of(request: PermissionRequest) -> RiskTier:
    """The risk of one request: the permission's tier, raised where its scope is broad or sensitive."""
    profile = profile_of(request.permission)
    tiers = [tier for pattern, tier in profile.raised if fnmatchcase(request.scope.lower(), pattern)]
    return max([profile.tier, *tiers, _breadth_of(request)], key=lambda tier: tier.rank)


def _breadth_of(request: PermissionRequest) -> RiskTier:
    """The risk of wildcards so early that the scope covers sensitive things without naming them."""
    resource, scope = str(request.permission).partition(":")[0], request.scope
    if resource == "file" and scope.startswith(("/", "~/")):
        first = scope.partition("/")[2].partition("/")[0]
        return RiskTier.CRITICAL if _WILDCARDS & set(first) else RiskTier.LOW
    name = scope.rpartition(":")[2]
    if resource == "variable" and "*" in name and len(name.replace("*", "")) < _TELLING_CHARACTERS:
        return RiskTier.HIGH
    return RiskTier.LOW


def highest_risk(requests: Iterable[PermissionRequest]) -> RiskTier:
    """The highest risk among `requests`; low when there are none."""
    return max((risk_of(request) for request in requests), key=lambda tier: tier.rank, default=RiskTier.LOW)


def profile_of(permission: str) -> PermissionProfile:
    """The profile of a permission; an unknown one is critical."""
    profiles = load_profiles()
    if permission in profiles:
        return profiles[permission]
    family = f"{permission.partition(':')[0]}:*"
    return profiles.get(family, PermissionProfile(RiskTier.CRITICAL, permission, "Unknown to this version"))


def diff_permissions(old: Iterable[PermissionRequest], new: Iterable[PermissionRequest]) -> PermissionDiff:
    """Compare two sets by permission and scope; a changed scope counts as one removed and one added."""
    before = {(request.permission, request.scope): request for request in old}
    after = {(request.permission, request.scope): request for request in new}
    return PermissionDiff(
        added=_by_risk(after[key] for key in after.keys() - before.keys()),
        removed=_by_risk(before[key] for key in before.keys() - after.keys()),
        kept=_by_risk(after[key] for key in after.keys() & before.keys()),
    )


@functools.cache
def load_profiles() -> Mapping[str, PermissionProfile]:
    """Every entry of ``data/permissions.toml`` by permission name."""
    text = files("envcli_policy").joinpath("data/permissions.toml").read_text(encoding="utf-8")
    return {name: _parse_profile(entry) for name, entry in tomllib.loads(text)["permission"].items()}


def _parse_profile(entry: Mapping[str, object]) -> PermissionProfile:
    raised = entry.get("raised", {})
    assert isinstance(raised, dict)  # noqa: S101 our own package data, covered by a test
    return PermissionProfile(
        tier=RiskTier(str(entry["tier"])),
        title=str(entry["title"]),
        explanation=str(entry["explanation"]),
        raised=tuple((pattern, RiskTier(tier)) for pattern, tier in raised.items()),
    )


def _by_risk(requests: Iterable[PermissionRequest]) -> tuple[PermissionRequest, ...]:
    return tuple(sorted(requests, key=lambda r: (-risk_of(r).rank, r.permission, r.scope)))
