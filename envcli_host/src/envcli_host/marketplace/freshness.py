"""How old may trust be: offline checks before a plugin runs."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from envcli_host.config import HostPaths


@dataclass(frozen=True)
class FreshnessLimits:
    """Ages of the index' signed timestamp at which a run is warned about and refused."""

    warn_after: timedelta
    refuse_after: timedelta


NORMAL = FreshnessLimits(timedelta(days=3), timedelta(days=30))
STRICT = FreshnessLimits(timedelta(days=1), timedelta(days=7))


@dataclass(frozen=True)
class FreshnessWarning:
    """The trust metadata is old but still accepted."""

    message: str
    remedy: str


def check_run(
    project: str,
    version: str,
    wheel_sha256: str,
    index_name: str,
    paths: HostPaths,
    now: datetime,
    *,
    limits: FreshnessLimits = NORMAL,
) -> FreshnessWarning | None:
    """Decide without network whether an installed release may still run.

    Args:
        project: normalized project name.
        version: installed version.
        wheel_sha256: digest of the plugin's own wheel.
        index_name: the index it was installed from.
        paths: where the index' verified state lives.
        now: aware current time.
        limits: ``NORMAL`` or ``STRICT``.

    Returns:
        A warning to show, or None.

    Raises:
        TakenDownError: a takedown covers the release.
        StaleTrustError: the metadata is too old, is missing, or the clock went backwards.
    """
    raise NotImplementedError
