"""Ties between processes that the platform's standard library does not offer."""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # include/uapi/linux/prctl.h


def end_with_parent() -> None:
    """Ask the kernel to send this process SIGTERM when its parent dies. Only Linux has this; elsewhere nothing happens.

    Source: prctl(2). A parent that died before the call is noticed as well.
    """
    if sys.platform != "linux":
        return
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGTERM)
