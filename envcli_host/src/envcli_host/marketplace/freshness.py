"""How old may trust be: offline checks before a plugin runs.

Each verified refresh leaves a small record beside the pinned root: when the signed timestamp expires and
which takedowns were signed. Reading that costs a fraction of verifying the metadata again, and whoever can
change it can change the pinned root as well.
"""

import base64
import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from envcli_host.config import HostPaths
from envcli_host.errors import StaleTrustError, TakenDownError, VerificationError
from envcli_host.files import read_bounded, write_atomically
from envcli_host.marketplace.indexes import index_dir, load_indexes

_MAX_RECORD = 32 * 1024 * 1024
_CLOCK_STEP_SECONDS = 3600.0


@dataclass(frozen=True)
class FreshnessWarning:
    """The trust metadata is old but still accepted."""

    message: str
    remedy: str


@dataclass(frozen=True)
class Standing:
    """What the last verified refresh of an index showed.

    Attributes:
        refreshed: when that was.
        expires: end of life of the signed timestamp.
        takedowns: the signed list.
        concerned: every project name and digest in it, so that a run need not parse it for nothing.
    """

    refreshed: datetime
    expires: datetime
    takedowns: bytes
    concerned: frozenset[str]


def check_run(
    project: str,
    version: str,
    wheel_sha256: str,
    index_name: str,
    paths: HostPaths,
    now: datetime,
    *,
    closure: Collection[str] = (),
    strict: bool = False,
) -> FreshnessWarning | None:
    """Decide without network whether an installed release may still run.

    Args:
        project: normalized project name.
        version: installed version.
        wheel_sha256: digest of the plugin's own wheel.
        index_name: the index it was installed from.
        paths: where the index' verified state lives.
        now: aware current time.
        closure: digests of the libraries installed with it.
        strict: use the strict limits of the security policy (1 and 7 instead of 3 and 30 days).

    Returns:
        A warning to show, or None.

    Raises:
        TakenDownError: a takedown covers the release.
        StaleTrustError: the metadata is too old or missing, or the clock went backwards.
    """
    from envcli_policy.security_policy import Freshness, default_policy

    observe_clock(paths, now)
    standing = read_standing(index_name, paths)
    digests = (wheel_sha256, *closure)
    if not standing.concerned.isdisjoint((project, *digests)):
        verify_not_taken_down(standing.takedowns, project, version, digests)
    policy = default_policy()
    signed_at = min(standing.expires - policy.timestamp_life, standing.refreshed)
    age = f"the trust metadata of index {index_name} is {max((now - signed_at).days, 0)} days old"
    remedy = f"Run: envcli index refresh {index_name}"
    judgement = policy.run_freshness(signed_at, now, strict=strict)
    if judgement is Freshness.REFUSE:
        raise StaleTrustError(f"{age}, so a takedown may have been missed", remedy=remedy)
    return FreshnessWarning(age, remedy) if judgement is Freshness.WARN else None


ALL_VERSIONS = "(all versions)"
"""Stands for a version where a whole project is asked about; no release can be called so."""


def verify_not_taken_down(takedowns: bytes, project: str, version: str, digests: tuple[str, ...]) -> None:
    """Check a release against a signed list of takedowns.

    Raises:
        TakenDownError: one covers it; the message carries the reason.
        VerificationError: the list is malformed.
    """
    from envcli_policy import verifier
    from envcli_policy.errors import PolicyError

    try:
        verifier.verify_not_taken_down(verifier.parse_takedowns(takedowns), project, version, digests)
    except verifier.TakenDownError as error:
        raise TakenDownError(error.message, remedy=error.remedy) from error
    except PolicyError as error:
        raise VerificationError(error.message, remedy=error.remedy) from error


def record_standing(
    refreshed: datetime, expires: datetime, takedowns: bytes, index_name: str, paths: HostPaths
) -> None:
    """Remember a verified refresh: when it was, when its timestamp ends, and the signed list of takedowns.

    Raises:
        VerificationError: the list is malformed.
    """
    from envcli_policy.errors import PolicyError
    from envcli_policy.verifier import parse_takedowns

    try:
        parsed = parse_takedowns(takedowns)
    except PolicyError as error:
        raise VerificationError(error.message, remedy=error.remedy) from error
    document = {
        "version": 1,
        "refreshed": refreshed.isoformat(),
        "expires": expires.isoformat(),
        "takedowns": base64.b64encode(takedowns).decode(),
        "concerned": sorted({name for each in parsed for name in (each.project, *each.sha256)}),
    }
    write_atomically(_record_file(index_name, paths), json.dumps(document).encode())


def read_standing(index_name: str, paths: HostPaths) -> Standing:
    """Return what the last verified refresh showed.

    Raises:
        StaleTrustError: there is no readable record.
    """
    remedy = f"Run: envcli index refresh {index_name}"
    try:
        document = json.loads(read_bounded(_record_file(index_name, paths), _MAX_RECORD))
        return Standing(
            _parse_time(document["refreshed"]),
            _parse_time(document["expires"]),
            base64.b64decode(document["takedowns"], validate=True),
            frozenset(document["concerned"]),
        )
    except FileNotFoundError as error:
        raise _unknown_standing(index_name, paths, remedy) from error
    except (ValueError, KeyError, TypeError) as error:
        raise StaleTrustError(f"the trust record of index {index_name} is damaged", remedy=remedy) from error


def _unknown_standing(index_name: str, paths: HostPaths, remedy: str) -> StaleTrustError:
    if any(index.name == index_name for index in load_indexes(paths)):
        return StaleTrustError(f"index {index_name} has never been verified here", remedy=remedy)
    return StaleTrustError(
        f"index {index_name} is no longer trusted, so nothing that came from it runs",
        remedy=f"To trust it again, run: envcli index add URL --name {index_name} --root-sha256 HASH",
    )


def observe_clock(paths: HostPaths, now: datetime) -> None:
    """Compare the clock with the latest time ever seen, and remember it (at most hourly).

    Raises:
        StaleTrustError: the clock went backwards by more than the security policy tolerates.
    """
    from envcli_policy.security_policy import default_policy

    file = paths.state / "clock"
    seen = _read_clock(file)
    if seen is not None and now < seen - default_policy().clock_tolerance:
        raise StaleTrustError(
            f"this machine's clock went backwards: it shows {now:%Y-%m-%d %H:%M} UTC, "
            f"but was {seen:%Y-%m-%d %H:%M} UTC before",
            remedy=f"Set the clock; if the later time was wrong, delete {file}",
        )
    if seen is None or (now - seen).total_seconds() > _CLOCK_STEP_SECONDS:
        write_atomically(file, now.isoformat().encode())


def _read_clock(file: Path) -> datetime | None:
    try:
        return _parse_time(read_bounded(file, 100).decode())
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise StaleTrustError(f"{file} is damaged", remedy="Delete it after checking the clock") from error


def _parse_time(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError(f"{text} has no zone")
    return found


def _record_file(index_name: str, paths: HostPaths) -> Path:
    return index_dir(index_name, paths) / "freshness.json"
