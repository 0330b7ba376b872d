"""What this machine can enforce, and why something is missing."""

from dataclasses import dataclass

from envcli_sandbox.request import Tier


@dataclass(frozen=True, slots=True)
class Gap:
    """One mechanism that is missing: which, why, and what would give it."""

    mechanism: str
    reason: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What was found.

    Attributes:
        architecture: machine name of the kernel, such as ``x86_64``.
        landlock_abi: version of the Landlock ABI, 0 where there is none.
        seccomp: whether system call filters can be installed.
        bubblewrap: path of a working ``bwrap``, or None.
        gaps: what is missing.
    """

    architecture: str
    landlock_abi: int
    seccomp: bool
    bubblewrap: str | None
    gaps: tuple[Gap, ...]

    @property
    def tiers(self) -> tuple[Tier, ...]:
        """Return the tiers that can be had, weakest first."""
        if not self.seccomp or not self.landlock_abi:
            return ()
        return (Tier.BASE, Tier.HARD) if self.bubblewrap else (Tier.BASE,)


def probe() -> Capabilities:
    """Look once per process at what the kernel and the installed programs allow. Changes nothing."""
    raise NotImplementedError
