"""Capabilities, no_new_privs, dumpability, and dying with the parent (prctl(2), capabilities(7))."""

import ctypes
import os
import signal

from envcli_sandbox.errors import SandboxUnavailableError
from envcli_sandbox.restrictions.kernel import prctl, syscall
from envcli_sandbox.restrictions.syscalls import SyscallTable

_SET_PDEATHSIG = 1
_SET_DUMPABLE = 4
_CAPBSET_DROP = 24
_SET_NO_NEW_PRIVS = 38
_CAP_AMBIENT = 47
_CAP_AMBIENT_CLEAR_ALL = 4
_LAST_POSSIBLE_CAPABILITY = 63
_CAPABILITY_VERSION_3 = 0x20080522


def deny_new_privileges() -> None:
    """Make set-user-ID programs and file capabilities powerless; a filter without privileges needs it."""
    prctl(_SET_NO_NEW_PRIVS, 1)


def drop_capabilities(table: SyscallTable) -> None:
    """Give up every capability: bounding, ambient, effective, permitted and inheritable."""
    for capability in range(_LAST_POSSIBLE_CAPABILITY + 1):
        try:
            prctl(_CAPBSET_DROP, capability)
        except OSError:  # EINVAL behind the last one, EPERM for an ordinary user, who gains nothing by it
            break
    prctl(_CAP_AMBIENT, _CAP_AMBIENT_CLEAR_ALL)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    nothing = (ctypes.c_uint32 * 6)()
    syscall(table.numbers["capset"], ctypes.addressof(header), ctypes.addressof(nothing))


def hide_memory() -> None:
    """Make the process non-dumpable: no core, and no other process of the same user may trace or read it."""
    prctl(_SET_DUMPABLE, 0)


def die_with_parent(parent: int) -> None:
    """Be killed when the parent ends.

    Args:
        parent: process id the parent told, 0 where it cannot be seen from this process's namespace.

    Raises:
        SandboxUnavailableError: it has ended already.
    """
    prctl(_SET_PDEATHSIG, signal.SIGKILL)
    if parent and os.getppid() != parent:
        raise SandboxUnavailableError("the host ended while the sandbox was starting")
