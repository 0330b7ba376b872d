"""What a plugin asks for, with the risk that our policy sees in it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from envcli_policy.permissions import RiskTier, profile_of, risk_of
from envcli_sdk import PermissionName, PermissionRequest


@dataclass(frozen=True)
class PermissionLine:
    """One requested permission as the page shows it."""

    permission: str
    scope: str
    reason: str
    risk: RiskTier
    title: str
    explanation: str

    @property
    def key(self) -> tuple[str, str]:
        """What two versions are compared by."""
        return self.permission, self.scope


def _line(item: Mapping[str, Any]) -> PermissionLine:
    permission, scope, reason = (str(item.get(key) or "") for key in ("permission", "scope", "reason"))
    profile = profile_of(permission)
    try:
        risk = risk_of(PermissionRequest(permission=PermissionName(permission), scope=scope, reason=reason))
    except ValueError:
        risk = RiskTier.CRITICAL  # what the site does not know it cannot call harmless
    return PermissionLine(permission, scope, reason, risk, profile.title, profile.explanation)


def permission_lines(manifest: Mapping[str, Any]) -> list[PermissionLine]:
    """Return the requested permissions of a parsed manifest, the riskiest first."""
    lines = [_line(item) for item in manifest.get("permissions") or []]
    return sorted(lines, key=lambda line: (-line.risk.rank, line.permission, line.scope))


def overall_risk(lines: Iterable[PermissionLine]) -> RiskTier:
    """Return the worst risk among ``lines``; without permissions it is low."""
    return max((line.risk for line in lines), key=lambda tier: tier.rank, default=RiskTier.LOW)


@dataclass(frozen=True)
class PermissionChange:
    """What a version asks for more or less than the one before."""

    added: tuple[PermissionLine, ...]
    dropped: tuple[PermissionLine, ...]


def permission_change(newer: Mapping[str, Any], older: Mapping[str, Any]) -> PermissionChange:
    """Compare the requests of two manifests by permission and scope."""
    new, old = permission_lines(newer), permission_lines(older)
    had, has = {line.key for line in old}, {line.key for line in new}
    return PermissionChange(
        tuple(line for line in new if line.key not in had), tuple(line for line in old if line.key not in has)
    )
