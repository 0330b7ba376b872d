"""What a caller asks for: the tree, the grants and the limits of one sandbox."""

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

MIB = 1 << 20


class Tier(StrEnum):
    """How strong the isolation is.

    ``base`` is rlimits, Landlock and a seccomp allow-list in a plain child. ``hard`` is the same inside its
    own namespaces with a file system that holds only what was mounted.
    """

    BASE = "base"
    HARD = "hard"

    @property
    def strength(self) -> int:
        """Return a number that grows with the isolation."""
        return (Tier.BASE, Tier.HARD).index(self)


@dataclass(frozen=True, slots=True)
class Mount:
    """One file or folder of the host that the child may use under the same path."""

    path: Path
    readonly: bool = True


@dataclass(frozen=True, slots=True)
class Limits:
    """Upper bounds of one sandbox. The child may start threads but no processes.

    Attributes:
        memory_bytes: private writable memory (``RLIMIT_DATA``).
        cpu_seconds: processor time over the child's whole life.
        wall_seconds: longest time of the start, and of each call.
        open_files: open file descriptors.
        file_bytes: size of one written file.
        output_bytes: how much of stdout and of stderr is kept; the rest is read and dropped.
        asks: questions to the broker over the child's whole life, each of which is a line in the audit.
    """

    memory_bytes: int = 256 * MIB
    cpu_seconds: int = 60
    wall_seconds: float = 60.0
    open_files: int = 64
    file_bytes: int = 64 * MIB
    output_bytes: int = 64 * 1024
    asks: int = 50_000


@dataclass(frozen=True, slots=True)
class SandboxRequest:
    """Everything that one sandbox is given.

    Attributes:
        tree: read-only folder put on the child's ``sys.path`` (the plugin's own import root).
        entry: passed to the guest, usually ``"package.module:Class"``.
        guest: ``"module:function"`` called as ``function(channel, entry)`` inside the child, see
            :class:`envcli_sandbox.runner.channel.GuestChannel`.
        guest_path: further read-only folder put on ``sys.path`` behind ``tree``, where the guest module is
            found when the tree does not hold it. Only what the child may read belongs there.
        mounts: granted files and folders.
        scratch_bytes: room of the private writable folder, the child's ``HOME`` and ``TMPDIR``.
        limits: upper bounds.
        floor: weakest tier that will do; less than that is refused.
        prefer: tier to use where the machine gives it.
    """

    tree: Path
    entry: str
    guest: str = "envcli_sdk.guest:serve"
    guest_path: Path | None = None
    mounts: tuple[Mount, ...] = ()
    scratch_bytes: int = 64 * MIB
    limits: Limits = field(default_factory=Limits)
    floor: Tier = Tier.BASE
    prefer: Tier = Tier.HARD
