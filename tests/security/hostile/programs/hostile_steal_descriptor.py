"""Copy a descriptor of another process."""

from hostile_kernel import call


def attack(pid: int) -> str:
    return f"descriptor {call('pidfd_getfd', call('pidfd_open', pid, 0), 0, 0)}"
