"""Start a process in an own user namespace."""

import os
import signal

from hostile_kernel import call

CLONE_NEWUSER = 0x10000000


def attack() -> str:
    pid = call("clone", CLONE_NEWUSER | signal.SIGCHLD, 0, 0, 0, 0)
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return "cloned"
