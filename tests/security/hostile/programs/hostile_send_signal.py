"""Kill another process."""

import os
import signal


def attack(pid: int) -> str:
    os.kill(pid, signal.SIGKILL)
    return "killed"
