"""Writes files of the public tree so that a reader sees the old content or the new, never a part."""

import errno
import os
import tempfile
from pathlib import Path, PurePosixPath

from envcli_index.errors import StorageError


class PublicFiles:
    """The folder of the public tree.

    Args:
        root: the folder; made when the first file is put.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, name: str) -> Path:
        """Return where the file of a tree-relative name lies.

        Raises:
            StorageError: the name leaves the tree or is hidden.
        """
        parts = PurePosixPath(name).parts
        if not parts or name.startswith("/") or any(part.startswith(".") for part in parts):
            raise StorageError(f"{name!r} is no name in the public tree", remedy="Report this as a bug")
        return self.root.joinpath(*parts)

    def put(self, name: str, content: bytes) -> None:
        """Put one file in place atomically and durably.

        Raises:
            StorageError: it could not be written, for example on a full disk; the old content stays.
        """
        target = self.path(name)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            _replace(target, content)
        except OSError as error:
            cause = "the disk is full" if error.errno == errno.ENOSPC else error.strerror
            raise StorageError(
                f"cannot write {target}: {cause}", remedy="Make room or correct its mode"
            ) from error

    def put_new(self, name: str, content: bytes) -> None:
        """Put an immutable file in place unless it is there already with the same size."""
        target = self.path(name)
        if not target.is_file() or target.stat().st_size != len(content):
            self.put(name, content)

    def remove(self, name: str) -> bool:
        """Delete one file and the folders that this leaves empty. Return whether it was there."""
        target = self.path(name)
        try:
            target.unlink()
        except FileNotFoundError:
            return False
        for folder in target.parents:
            if folder == self.root or any(folder.iterdir()):
                break
            folder.rmdir()
        return True

    def read(self, name: str) -> bytes | None:
        """Return a file's content, or ``None`` where there is none."""
        try:
            return self.path(name).read_bytes()
        except FileNotFoundError:
            return None


def _replace(target: Path, content: bytes) -> None:
    handle, fresh = tempfile.mkstemp(prefix=".new-", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        Path(fresh).chmod(0o644)
        Path(fresh).replace(target)
    except BaseException:
        Path(fresh).unlink(missing_ok=True)
        raise
