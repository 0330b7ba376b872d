"""The machines whose system calls are known, as tables of name and number."""

import os
from collections.abc import Mapping
from typing import NamedTuple

from envcli_sandbox.errors import SandboxUnavailableError


class SyscallTable(NamedTuple):
    """System calls of one architecture.

    Attributes:
        audit_arch: the kernel's ``AUDIT_ARCH_*`` constant, which a filter compares.
        numbers: number by name.
    """

    audit_arch: int
    numbers: Mapping[str, int]


def load_table(machine: str | None = None) -> SyscallTable:
    """Return the table of ``machine`` (default: the running kernel's, as in uname(2)).

    Raises:
        SandboxUnavailableError: there is none.
    """
    name = machine or os.uname().machine
    if name == "x86_64":
        from envcli_sandbox.restrictions.syscalls import x86_64

        return SyscallTable(x86_64.AUDIT_ARCH, x86_64.NUMBERS)
    if name == "aarch64":
        from envcli_sandbox.restrictions.syscalls import aarch64

        return SyscallTable(aarch64.AUDIT_ARCH, aarch64.NUMBERS)
    raise SandboxUnavailableError(
        f"system calls of the architecture {name} are not known; use x86_64 or aarch64"
    )
