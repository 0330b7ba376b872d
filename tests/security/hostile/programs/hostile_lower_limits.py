"""Change the limits of another process."""

import resource


def attack(pid: int) -> str:
    return f"was {resource.prlimit(pid, resource.RLIMIT_CORE, (0, 0))}"
