"""File permissions: from scopes to folders the child gets mounted, and to files the host opens for it.

A scope without wildcards names one file or folder; it is mounted, so that ordinary `open` works. A scope with
wildcards is decided file by file by the host, which walks to the file without following any symbolic link.
"""

import os
import stat
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from envcli_sdk.permissions import PermissionName, PermissionRequest

from envcli_host.config import HostPaths
from envcli_host.plugins.errors import GrantError

_WILDCARDS = frozenset("*?[")
_KERNEL = (Path("/proc"), Path("/sys"), Path("/dev"))
MAX_LISTED = 10_000


@dataclass(frozen=True, slots=True)
class FileScope:
    """One granted scope.

    Attributes:
        base: absolute folder or file without wildcards.
        pattern: parts below ``base``, with wildcards; empty for a literal scope.
        writable: granted by ``file:write``.
    """

    base: Path
    pattern: tuple[str, ...]
    writable: bool

    @property
    def real(self) -> Path:
        """Where ``base`` lies."""
        return Path(os.path.realpath(self.base))

    def may_reach(self, folder: Path) -> bool:
        """Whether something in a real folder, or the folder itself, could be covered."""
        real = self.real
        if real.is_relative_to(folder):
            return True
        if not folder.is_relative_to(real):
            return False
        inner = folder.relative_to(real).parts
        return not self.pattern or (len(inner) <= len(self.pattern) and _fits(inner, self.pattern))

    def covers(self, path: Path) -> bool:
        """Whether an absolute, normal path is within the scope."""
        try:
            parts = path.relative_to(self.base).parts
        except ValueError:
            return False
        if not self.pattern:
            return True
        return len(parts) == len(self.pattern) and _fits(parts, self.pattern)


def file_scopes(
    requests: Iterable[PermissionRequest], project: Path | None, paths: HostPaths
) -> tuple[FileScope, ...]:
    """Turn granted file permissions into scopes.

    Raises:
        GrantError: a scope reaches the plugin store, envcli's own files, a project's secrets or the interpreter,
            or leads through a symbolic link.
    """
    found = []
    for request in requests:
        if request.permission in {PermissionName.FILE_READ, PermissionName.FILE_WRITE}:
            scope = _parse(request, project)
            _verify_reach(scope, request, project, paths)
            found.append(scope)
    return tuple(found)


def open_granted(path: str, mode: str, scopes: Iterable[FileScope], project: Path | None) -> int:
    """Open a file that a scope covers and return its descriptor.

    Args:
        path: absolute, ``~/…`` or ``./…``.
        mode: ``r``, ``w`` (truncate) or ``a``.

    Raises:
        PermissionError: no scope covers it.
        OSError: it cannot be opened, or is no plain file.
    """
    absolute = _absolute(path, project)
    wants_write = mode != "r"
    fitting = [s for s in scopes if s.covers(absolute) and s.writable == wants_write]
    if not fitting:
        raise PermissionError(f"file:{'write' if wants_write else 'read'} {path} is not granted")
    flags = {"r": os.O_RDONLY, "w": os.O_WRONLY | os.O_CREAT, "a": os.O_WRONLY | os.O_CREAT | os.O_APPEND}[
        mode
    ]
    descriptor = _open_without_links(absolute, flags | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(f"{path} is no plain file")
    if mode == "w":
        os.ftruncate(descriptor, 0)
    return descriptor


def list_granted(pattern: str, scopes: Iterable[FileScope], project: Path | None) -> Iterator[str]:
    """Files below the readable scopes whose path matches ``pattern``, at most 10,000."""
    wanted, count = _absolute(pattern, project).parts, 0
    for scope in scopes:
        if scope.writable:
            continue
        for folder, folders, files in os.walk(scope.base):
            folders[:] = [name for name in folders if _leads_on(Path(folder, name), wanted, scope)]
            for name in files:
                path = Path(folder, name)
                fits = len(path.parts) == len(wanted) and _fits(path.parts, wanted)
                if fits and scope.covers(path) and not path.is_symlink():
                    yield str(path)
                    count += 1
                    if count >= MAX_LISTED:
                        return


def _leads_on(folder: Path, wanted: tuple[str, ...], scope: FileScope) -> bool:
    """Whether something below a folder can be both asked for and covered, so that nothing else is walked through."""
    parts, inner = folder.parts, folder.relative_to(scope.base).parts
    is_on_the_way = len(parts) < len(wanted) and _fits(parts, wanted)
    is_covered = not scope.pattern or (len(inner) < len(scope.pattern) and _fits(inner, scope.pattern))
    return is_on_the_way and is_covered and not folder.is_symlink()


def _parse(request: PermissionRequest, project: Path | None) -> FileScope:
    parts = _absolute(request.scope, project).parts
    fixed = next((index for index, part in enumerate(parts) if _WILDCARDS & set(part)), len(parts))
    return FileScope(Path(*parts[:fixed]), parts[fixed:], request.permission is PermissionName.FILE_WRITE)


def _fits(parts: tuple[str, ...], patterns: tuple[str, ...]) -> bool:
    """Whether each part matches the pattern in its place; a wildcard never crosses a folder."""
    return all(fnmatchcase(part, pattern) for part, pattern in zip(parts, patterns, strict=False))


def _absolute(path: str, project: Path | None) -> Path:
    if path.startswith("~/"):
        path = os.path.join(_home(), path[2:])  # noqa: PTH118 - joined as text, so that '..' is seen below
    elif path.startswith("./") or not path.startswith("/"):
        if project is None:
            raise GrantError(f"file scope {path} is relative to a project", remedy="Run it inside a project")
        path = os.path.join(project, path.removeprefix("./"))  # noqa: PTH118
    if "\0" in path or ".." in path.split("/"):
        raise GrantError(f"file path {path!r} leaves its folder")
    return Path(os.path.normpath(path))


def _home() -> str:
    import pwd

    return pwd.getpwuid(os.geteuid()).pw_dir


def _verify_reach(
    scope: FileScope, request: PermissionRequest, project: Path | None, paths: HostPaths
) -> None:
    real = scope.real
    anchor = next(
        (root for root in (project, Path(_home())) if root and scope.base.is_relative_to(root)), Path("/")
    )
    if real != Path(os.path.realpath(anchor)) / scope.base.relative_to(anchor):
        raise GrantError(
            f"{request.permission} {request.scope} leads through a symbolic link to {real}",
            remedy="Replace the link by a folder, or ask for the folder itself",
        )
    for folder in (*_private(project, paths), *_KERNEL):
        if scope.may_reach(folder):
            raise GrantError(
                f"{request.permission} {request.scope} reaches {folder}, which no plugin may be granted",
                remedy="Ask the publisher for a narrower scope",
            )
    for folder in _interpreter():
        inside = real != folder and real.is_relative_to(folder)
        if scope.may_reach(folder) and (scope.writable or not inside):
            raise GrantError(
                f"{request.permission} {request.scope} reaches the interpreter in {folder}",
                remedy="Ask the publisher for a narrower scope",
            )


def _private(project: Path | None, paths: HostPaths) -> Iterator[Path]:
    for folder in (paths.data, paths.config, paths.state, paths.cache):
        yield Path(os.path.realpath(folder))
    if project is not None:
        yield Path(os.path.realpath(project / ".envcli"))


def _interpreter() -> Iterator[Path]:
    import envcli_host

    yield Path(os.path.realpath(sys.prefix))
    yield Path(os.path.realpath(sys.base_prefix))
    yield Path(os.path.realpath(sys.executable)).parent
    yield Path(os.path.realpath(next(iter(envcli_host.__path__))))


def _open_without_links(path: Path, flags: int) -> int:
    """Open step by step, refusing a symbolic link at any step."""
    folder = os.open("/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in path.parts[1:-1]:
            step = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
            os.close(folder)
            folder = step
        return os.open(path.name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder)
    finally:
        os.close(folder)
