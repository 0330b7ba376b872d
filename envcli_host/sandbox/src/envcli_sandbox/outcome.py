"""What is left of a sandbox when it has ended."""

from dataclasses import dataclass

from envcli_sandbox.request import Tier


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one sandbox ended and what it used.

    Attributes:
        tier: the tier that was really in force.
        exit_status: exit status of the child, negative signal number when a signal ended it.
        killed_by: why the host killed it (``"wall"``, ``"scratch"``, ``"protocol"``, ``"audit"``, ``"host"``,
            ``"closed"`` when it did not leave), ``"cpu"`` for that limit, or a signal's name; None for an
            orderly end.
        cpu_seconds: user and system time.
        max_rss_bytes: largest resident set.
        stdout: what it printed, sanitised, at most ``Limits.output_bytes``.
        stderr: the same of its error output.
        truncated: whether output was dropped.
    """

    tier: Tier
    exit_status: int
    killed_by: str | None
    cpu_seconds: float
    max_rss_bytes: int
    stdout: str = ""
    stderr: str = ""
    truncated: bool = False
