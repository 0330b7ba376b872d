"""Files that are either old or new, never half: atomic replacement, locks, bounded reads."""

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from envcli_host.errors import EnvcliError
from envcli_host.failures import StorageError

PRIVATE_FILE = 0o600
PRIVATE_DIRECTORY = 0o700


def make_private_folder(folder: Path) -> None:
    """Create a folder and whatever is missing above it, each with mode 0700; one that exists stays as it is."""
    if not folder.is_dir():
        make_private_folder(folder.parent)
        folder.mkdir(mode=PRIVATE_DIRECTORY, exist_ok=True)


def write_atomically(path: Path, content: bytes, mode: int = PRIVATE_FILE) -> None:
    """Replace ``path`` by ``content``: temporary file, fsync, rename, fsync of the directory.

    Args:
        path: the file; missing parent directories are created with mode 0700. A symbolic link is followed, so
            that the file behind it changes and not the link.
        content: the whole new content.
        mode: permission bits of the new file.

    Raises:
        StorageError: the file cannot be written (disk full, no permission); the old content is untouched.
    """
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(6)}.tmp")
    try:
        make_private_folder(target.parent)
        _write_new(temporary, content, mode)
        temporary.replace(target)
        _sync_directory(target.parent)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise StorageError(
            f"{path} cannot be written", error, target.parent, "the old file is unchanged"
        ) from error


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive advisory lock on the file ``path`` (created with mode 0600) for the block's duration.

    Raises:
        StorageError: the lock file cannot be opened.
    """
    try:
        make_private_folder(path.parent)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, PRIVATE_FILE)
    except OSError as error:
        raise StorageError(f"{path} cannot be locked", error, path.parent) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def read_bounded(path: Path, limit: int) -> bytes:
    """Return the content of ``path``, which must be a regular file of at most ``limit`` bytes.

    Raises:
        FileNotFoundError: there is no such file.
        EnvcliError: it cannot be read or is larger.
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(limit + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StorageError(f"{path} cannot be read", error, path) from error
    if len(content) > limit:
        raise EnvcliError(f"{path} is larger than {limit} bytes", remedy="Check what was written there")
    return content


def _write_new(path: Path, content: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
    with os.fdopen(descriptor, "wb") as stream:
        os.fchmod(stream.fileno(), mode)
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
