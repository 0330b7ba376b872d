"""A plain child process, and one inside bubblewrap's namespaces."""

import os
import socket
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from envcli_sandbox.capabilities import Capabilities
from envcli_sandbox.errors import SandboxError
from envcli_sandbox.footprint import find_footprint
from envcli_sandbox.isolators.child import Child
from envcli_sandbox.policy import Policy
from envcli_sandbox.protocol import Channel
from envcli_sandbox.request import SandboxRequest, Tier

_PACKAGE = Path(__file__).resolve().parent.parent
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "MALLOC_ARENA_MAX": "2"}
_INNER_SCRATCH = "/scratch"
_DEVICES_READ, _DEVICES_WRITTEN = ("/dev/urandom",), ("/dev/null",)


def check_paths(request: SandboxRequest) -> None:
    """Refuse grants that would let the child change what it or another sandbox runs.

    Raises:
        SandboxError: a path is missing, or a writable mount overlaps code.
    """
    footprint = find_footprint()
    code = [request.tree, footprint.interpreter, Path(os.__file__).parent, _PACKAGE]
    code += [request.guest_path] if request.guest_path else []
    for path in (*code, *(mount.path for mount in request.mounts)):
        if not path.is_absolute() or not path.exists():
            raise SandboxError(f"{path} cannot be given to a sandbox: it must exist and be absolute")
    protected = [path.resolve() for path in code]
    for mount in request.mounts:
        granted = mount.path.resolve()
        if not mount.readonly and any(_overlap(granted, path) for path in protected):
            raise SandboxError(f"{mount.path} cannot be writable in a sandbox: code that it runs lies there")


def start_child(request: SandboxRequest, tier: Tier, capabilities: Capabilities) -> tuple[Child, Policy]:
    """Start the child of ``tier``; it waits for its policy, which is returned beside it.

    Raises:
        OSError: a process cannot be started.
    """
    if tier is Tier.HARD and capabilities.bubblewrap:
        return _start_hard(request, capabilities.landlock_abi, capabilities.bubblewrap)
    return _start_base(request, capabilities.landlock_abi)


def _start_base(request: SandboxRequest, abi: int) -> tuple[Child, Policy]:
    scratch = Path(tempfile.mkdtemp(prefix="envcli-sandbox-")).resolve()
    try:
        child = _spawn((), ())
    except OSError:
        scratch.rmdir()
        raise
    child.scratch = scratch
    return child, _policy(request, Tier.BASE, abi, scratch=str(scratch), parent=os.getpid())


def _start_hard(request: SandboxRequest, abi: int, bubblewrap: str) -> tuple[Child, Policy]:
    readable, written = os.pipe()
    try:
        child = _spawn([bubblewrap, "--info-fd", str(written), *_namespaces(request)], [written])
    except OSError:
        os.close(readable)
        raise
    finally:
        os.close(written)
    child.information = readable
    child.mechanisms = ("namespaces",)
    return child, _policy(request, Tier.HARD, abi, scratch=_INNER_SCRATCH, parent=0)


def _spawn(wrapper: Sequence[str], inherited: Sequence[int]) -> Child:
    """Start the bare interpreter with nothing of the host's environment, files or terminal."""
    ours, theirs = socket.socketpair()
    runner = [
        str(find_footprint().interpreter),
        "-I",
        "-S",
        "-X",
        "utf8",
        str(_PACKAGE / "runner/__main__.py"),
    ]
    with theirs:
        process = subprocess.Popen(
            [*wrapper, *runner, str(theirs.fileno())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_ENVIRONMENT,
            cwd="/",
            pass_fds=(theirs.fileno(), *inherited),
            start_new_session=True,
        )
    if process.stdout is None or process.stderr is None:
        raise SandboxError("a child was started without pipes")
    return Child(process, Channel(ours, accepts_fds=True), process.stdout, process.stderr)


def _policy(request: SandboxRequest, tier: Tier, abi: int, *, scratch: str, parent: int) -> Policy:
    footprint, limits = find_footprint(), request.limits
    search = [request.tree, *([request.guest_path] if request.guest_path else [])]
    return Policy(
        tier=tier.value,
        parent=parent,
        landlock_abi=abi,
        machine=[*map(str, footprint.readable), *_DEVICES_READ],
        hidden=[str(path) for path in footprint.hidden],
        readable=[str(path) for path in (*search, *_granted(request, readonly=True))],
        writable=[*map(str, _granted(request, readonly=False)), *_DEVICES_WRITTEN],
        limits={
            "memory_bytes": limits.memory_bytes,
            "cpu_seconds": limits.cpu_seconds,
            "open_files": limits.open_files,
            "file_bytes": limits.file_bytes,
        },
        notify=True,
        scratch=scratch,
        environment=dict(footprint.environment),
        search=[str(path) for path in search],
        guest=request.guest,
        entry=request.entry,
    )


def _namespaces(request: SandboxRequest) -> Iterator[str]:
    """Yield bubblewrap's arguments: own namespaces, and a root that holds only what is named."""
    footprint = find_footprint()
    yield from (
        "--unshare-all",
        "--die-with-parent",
        "--new-session",
        "--hostname",
        "sandbox",
        "--cap-drop",
        "ALL",
    )
    for name, target in footprint.links:
        yield from ("--symlink", target, name)
    yield from _each("--ro-bind", footprint.readable)
    for path in footprint.hidden:
        yield from ("--tmpfs", str(path))
    code = (_PACKAGE, request.tree, *([request.guest_path] if request.guest_path else []))
    yield from _each("--ro-bind", (*code, *_granted(request, readonly=True)))
    yield from _each("--bind", _granted(request, readonly=False))
    yield from _each("--dev-bind", map(Path, (*_DEVICES_READ, *_DEVICES_WRITTEN)))
    yield from ("--perms", "0700", "--size", str(request.scratch_bytes), "--tmpfs", _INNER_SCRATCH)
    yield from ("--remount-ro", "/", "--")


def _each(option: str, paths: Iterable[Path]) -> Iterator[str]:
    for path in paths:
        yield from (option, str(path), str(path))


def _granted(request: SandboxRequest, *, readonly: bool) -> list[Path]:
    return [mount.path for mount in request.mounts if mount.readonly is readonly]


def _overlap(one: Path, other: Path) -> bool:
    return one == other or one in other.parents or other in one.parents
