"""Make a memory segment that every process of the user can open."""

from hostile_kernel import call

IPC_CREAT, IPC_RMID = 0o1000, 0


def attack() -> str:
    segment = call("shmget", 0, 4096, IPC_CREAT | 0o600)
    call("shmctl", segment, IPC_RMID, 0)
    return f"segment {segment}"
