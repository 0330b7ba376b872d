"""What the host tells the child in the first frame: the shape both sides read."""

from typing import TypedDict


class ResourceLimits(TypedDict):
    """Arguments of :func:`envcli_sandbox.restrictions.rlimits.restrict_resources`."""

    memory_bytes: int
    cpu_seconds: int
    open_files: int
    file_bytes: int


class Policy(TypedDict):
    """Everything the child needs to restrict itself and start the guest.

    Attributes:
        tier: for the answer.
        parent: process id of the host, 0 where the child lives in another namespace.
        landlock_abi: newest ABI to use.
        machine: files and folders that the interpreter needs, to read.
        hidden: folders below those that stay closed.
        readable: granted files and folders to read.
        writable: files and folders to read and change.
        limits: resource limits.
        notify: whether refused system calls are reported.
        scratch: the child's working folder, ``HOME`` and ``TMPDIR``.
        environment: further variables, none of them secret.
        search: folders for ``sys.path``, behind the standard library.
        guest: ``module:function``.
        entry: the guest's second argument.
    """

    tier: str
    parent: int
    landlock_abi: int
    machine: list[str]
    hidden: list[str]
    readable: list[str]
    writable: list[str]
    limits: ResourceLimits
    notify: bool
    scratch: str
    environment: dict[str, str]
    search: list[str]
    guest: str
    entry: str
