"""Resource limits (setrlimit(2))."""

import resource


def restrict_resources(*, memory_bytes: int, cpu_seconds: int, open_files: int, file_bytes: int) -> None:
    """Lower the process's own limits, soft and hard.

    Memory is bounded by ``RLIMIT_DATA``: address space (``RLIMIT_AS``) counts every thread's reserved stack
    and arena, and stops honest programs long before they use memory. At the processor limit the kernel
    sends SIGXCPU, and one second later SIGKILL, which cannot be handled. Core dumps are off.

    Raises:
        ValueError: a limit lies above the one the process already has.
    """
    for limit, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_DATA, memory_bytes),
        (resource.RLIMIT_NOFILE, open_files),
        (resource.RLIMIT_FSIZE, file_bytes),
        (resource.RLIMIT_MEMLOCK, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
    ):
        _lower(limit, value, value)
    _lower(resource.RLIMIT_CPU, cpu_seconds, cpu_seconds + 1)


def _lower(limit: int, soft: int, hard: int) -> None:
    """Set a limit, staying below the hard one that is already there."""
    present = resource.getrlimit(limit)[1]
    if present != resource.RLIM_INFINITY:
        soft, hard = min(soft, present), min(hard, present)
    resource.setrlimit(limit, (soft, hard))
