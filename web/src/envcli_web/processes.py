"""Ties between processes that the platform's standard library does not offer."""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # include/uapi/linux/prctl.h
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


def end_with_parent(parent: int) -> None:
    """Ask the kernel to send this process SIGTERM when its parent dies; outside Linux nothing happens.

    Source: prctl(2). A parent that died before the call is noticed as well. Safe between fork and exec: the library
    was loaded before.

    Args:
        parent: process id of the parent, as it was known before this process started.
    """
    if _libc is None:
        return
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGTERM)
