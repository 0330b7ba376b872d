"""The numbers of the security policy, and the judgement of how old trust metadata may be.

``data/security-policy.toml`` holds the defaults; an organisation may ship its own file of the same shape.
"""

from __future__ import annotations

import functools
import tomllib
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from importlib.resources import files

from envcli_policy.errors import MalformedError
from envcli_policy.permissions import RiskTier
from envcli_policy.strict_json import Fields


class Freshness(StrEnum):
    """Whether trust metadata of this age may be acted on."""

    FRESH = "fresh"
    WARN = "warn"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class FreshnessLimits:
    """Ages of the last trusted timestamp from which a run warns, and from which it is refused."""

    warn_after: timedelta
    refuse_after: timedelta


@dataclass(frozen=True, slots=True)
class SecurityPolicy:
    """The policy in force.

    Attributes:
        timestamp_life: How long a TUF timestamp lives.
        run: Limits for running what is installed.
        strict_run: The same for users who asked for strictness.
        clock_tolerance: How far a signed time may lie in the future.
        cooldown: A younger release is pointed out before consent.
        allowed_risk: The highest tier that a script accepts unless it says otherwise.
        human_review_from: The tier from which vetting asks a person.
        advisory_age: Age of the newest advisory from which vetting asks a person.
    """

    timestamp_life: timedelta
    run: FreshnessLimits
    strict_run: FreshnessLimits
    clock_tolerance: timedelta
    cooldown: timedelta
    allowed_risk: RiskTier
    human_review_from: RiskTier
    advisory_age: timedelta

    def run_freshness(self, signed_at: datetime, now: datetime, *, strict: bool = False) -> Freshness:
        """Judge whether an installed plugin may run on trust metadata signed at `signed_at`.

        A timestamp from the future (a clock that was turned back) is refused.
        """
        limits = self.strict_run if strict else self.run
        age = now - signed_at
        if age < -self.clock_tolerance or age >= limits.refuse_after:
            return Freshness.REFUSE
        return Freshness.WARN if age >= limits.warn_after else Freshness.FRESH


@functools.cache
def default_policy() -> SecurityPolicy:
    """The policy that ships with the package."""
    return parse_policy(
        files("envcli_policy").joinpath("data/security-policy.toml").read_text(encoding="utf-8")
    )


def parse_policy(text: str) -> SecurityPolicy:
    """Parse a security policy file.

    Raises:
        MalformedError: Not TOML, a field missing or surplus, or a value out of range.
    """
    try:
        document = Fields(tomllib.loads(text), "security policy")
    except tomllib.TOMLDecodeError as error:
        raise MalformedError(f"security policy is not valid TOML: {error}") from error
    document.only("version", "freshness", "release").integer("version", low=1, high=1)
    freshness, release = document.object("freshness"), document.object("release")
    return SecurityPolicy(
        timestamp_life=timedelta(hours=freshness.integer("timestamp_hours", low=1, high=24 * 30)),
        run=_limits(freshness.object("run")),
        strict_run=_limits(freshness.object("strict_run")),
        clock_tolerance=timedelta(minutes=freshness.integer("clock_tolerance_minutes", low=0, high=60)),
        cooldown=timedelta(days=release.integer("cooldown_days", low=0, high=365)),
        allowed_risk=_tier(release, "allowed_risk"),
        human_review_from=_tier(release, "human_review_from"),
        advisory_age=timedelta(days=release.integer("advisory_days", low=1, high=3650)),
    )


def _limits(fields: Fields) -> FreshnessLimits:
    warn = fields.integer("warn_after_days", low=0, high=3650)
    return FreshnessLimits(
        timedelta(days=warn), timedelta(days=fields.integer("refuse_after_days", low=warn, high=3650))
    )


def _tier(fields: Fields, name: str) -> RiskTier:
    try:
        return RiskTier(fields.text(name, limit=20))
    except ValueError as error:
        raise MalformedError(f"{fields.what}: {name!r} must be one of {', '.join(RiskTier)}") from error
