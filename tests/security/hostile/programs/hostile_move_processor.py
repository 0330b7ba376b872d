"""Move another process to one processor."""

import os


def attack(pid: int) -> str:
    os.sched_setaffinity(pid, {min(os.sched_getaffinity(0))})
    return "moved"
