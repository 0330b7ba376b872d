"""Attach to another process as a debugger."""

from hostile_kernel import call

SEIZE = 0x4206


def attack(pid: int) -> str:
    call("ptrace", SEIZE, pid, 0, 0)
    return "attached"
