"""The host's end of the filter: hears of each refused system call and refuses it (seccomp_unotify(2)).

The answer never is to continue, so what the child changes in its memory meanwhile cannot matter.
"""

import errno
import fcntl
import os
import struct
from typing import NamedTuple

from envcli_sandbox.restrictions.syscalls import SyscallTable

_RECEIVE = 0xC0502100
_SEND = 0xC0182101
_NOTIFICATION_BYTES = 80
_HEADER = struct.Struct("=QIIiIQ")  # id, process, flags; then number, architecture, instruction pointer
_ARGUMENTS = struct.Struct("=6Q")
_RESPONSE = struct.Struct("=QqiI")
_NOT_KNOWN = frozenset(
    (
        "inotify_init",
        "inotify_init1",
        "fanotify_init",
        "memfd_create",
        "pidfd_open",
        "userfaultfd",
        "bpf",
        "perf_event_open",
    )
)
_FAMILIES = {0: "unspecified", 1: "unix", 2: "ipv4", 10: "ipv6", 16: "netlink", 17: "packet", 40: "vsock"}


class DeniedCall(NamedTuple):
    """One refused system call.

    Attributes:
        name: of the call, or its number.
        family: address family where it was about sockets, else None.
    """

    name: str
    family: str | None


class Listener:
    """Reads and answers the notifications of one filter."""

    def __init__(self, descriptor: int, table: SyscallTable) -> None:
        """Take over ``descriptor``."""
        self._descriptor = descriptor
        self._names = {number: name for name, number in table.numbers.items()}

    def fileno(self) -> int:
        """Return the descriptor, readable when a call waits."""
        return self._descriptor

    def refuse_one(self) -> DeniedCall | None:
        """Refuse the next waiting call and return it; None when its process is gone.

        Raises:
            OSError: the listener is of no use any more.
        """
        notification = bytearray(_NOTIFICATION_BYTES)
        try:
            fcntl.ioctl(self._descriptor, _RECEIVE, notification)
            call_id, _, _, number, _, _ = _HEADER.unpack_from(notification)
            name = self._names.get(number, str(number))
            code = errno.ENOSYS if name in _NOT_KNOWN else errno.EPERM
            fcntl.ioctl(self._descriptor, _SEND, _RESPONSE.pack(call_id, 0, -code, 0))
        except OSError as error:
            if error.errno in {errno.ENOENT, errno.EINTR}:
                return None
            raise
        first_argument = _ARGUMENTS.unpack_from(notification, _HEADER.size)[0]
        family = _FAMILIES.get(first_argument, str(first_argument)) if name.startswith("socket") else None
        return DeniedCall(name, family)

    def close(self) -> None:
        """Close the descriptor; a call that still waits then fails with ENOSYS."""
        os.close(self._descriptor)
