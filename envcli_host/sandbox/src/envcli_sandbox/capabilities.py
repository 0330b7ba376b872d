"""What this machine can enforce, and why something is missing."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache

from envcli_sandbox.errors import SandboxUnavailableError
from envcli_sandbox.footprint import find_footprint
from envcli_sandbox.request import Tier
from envcli_sandbox.restrictions.landlock import landlock_abi
from envcli_sandbox.restrictions.seccomp import has_filters
from envcli_sandbox.restrictions.syscalls import SyscallTable, load_table

_PROBE_SECONDS = 10


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


@cache
def probe() -> Capabilities:
    """Look once per process at what the kernel and the installed programs allow. Changes nothing."""
    architecture = os.uname().machine
    try:
        table = load_table(architecture)
    except SandboxUnavailableError as error:
        gap = Gap("seccomp", str(error), "run envcli on a 64-bit Intel, AMD or Arm machine with Linux")
        return Capabilities(architecture, 0, seccomp=False, bubblewrap=None, gaps=(gap,))
    return _probe_kernel(architecture, table)


def _probe_kernel(architecture: str, table: SyscallTable) -> Capabilities:
    gaps = []
    abi, seccomp, bubblewrap = landlock_abi(table), has_filters(table), shutil.which("bwrap")
    if not abi:
        remedy = (
            "boot Linux 5.13 or newer with Landlock among the security modules (kernel option lsm=landlock,…)"
        )
        gaps.append(Gap("landlock", "the kernel does not offer Landlock", remedy))
    if not seccomp:
        remedy = "boot a kernel with CONFIG_SECCOMP_FILTER, and allow seccomp(2) in the container's profile"
        gaps.append(Gap("seccomp", "the kernel does not offer system call filters", remedy))
    if bubblewrap is None:
        gaps.append(Gap("bubblewrap", "bwrap is not installed", "apt-get install -y bubblewrap"))
    elif why := _why_broken(bubblewrap):
        remedy = "allow user namespaces (sysctl user.max_user_namespaces, AppArmor, the container's profile)"
        gaps.append(Gap("bubblewrap", f"bwrap does not work here: {why}", remedy))
        bubblewrap = None
    return Capabilities(architecture, abi, seccomp, bubblewrap, tuple(gaps))


def _why_broken(bubblewrap: str) -> str | None:
    """Return why ``bwrap`` cannot make namespaces, or None when it can."""
    program = [shutil.which("true") or str(find_footprint().interpreter), "--version"]
    command = [bubblewrap, "--unshare-all", "--ro-bind", "/", "/", "--", *program]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            check=False,
            timeout=_PROBE_SECONDS,
            stdin=subprocess.DEVNULL,
            env={},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return type(error).__name__
    return None if done.returncode == 0 else done.stderr.decode(errors="replace").strip()[:200] or "it failed"
