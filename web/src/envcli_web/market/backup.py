"""A consistent copy of a marketplace while it runs.

Databases are copied first, through SQLite's backup interface, the files after them: files are only ever added or
replaced whole, so that every file that the copied databases know is in the copy.
"""

import os
import shutil
import sqlite3
import tarfile
import tempfile
from contextlib import closing
from pathlib import Path, PurePosixPath

from envcli_web.errors import ConfigurationError
from envcli_web.market.settings import FILE_NAME

MAGIC = b"SQLite format 3\x00"
LEFT_OUT = frozenset({"logs", "run"})
LEFT_OUT_SUFFIXES = ("-wal", "-shm", "-journal", ".lock", ".heartbeat")


def _is_database(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(len(MAGIC)) == MAGIC


def _is_kept(relative: Path) -> bool:
    return not LEFT_OUT.intersection(relative.parts) and not relative.name.endswith(LEFT_OUT_SUFFIXES)


def _copy_database(source: Path, target: Path) -> None:
    with closing(sqlite3.connect(source)) as live, closing(sqlite3.connect(target)) as copy:
        live.backup(copy)


def _files(data: Path) -> list[Path]:
    found = (path for path in data.rglob("*") if path.is_file() and not path.is_symlink())
    return sorted(path for path in found if _is_kept(path.relative_to(data)))


def back_up(data: Path, file: Path) -> int:
    """Write a copy of the marketplace in ``data`` to the tar ``file`` (mode 0600) and return the number of files.

    Raises:
        ConfigurationError: ``file`` exists or lies within ``data``.
        OSError: a file cannot be read, or the disk is full.
    """
    if file.exists() or file.absolute().is_relative_to(data.absolute()):
        raise ConfigurationError(
            f"{file} exists or lies in the marketplace itself", remedy="Choose another file"
        )
    databases = [path for path in _files(data) if _is_database(path)]
    with tempfile.TemporaryDirectory(dir=file.absolute().parent) as scratch:
        copies: dict[Path, Path] = {}
        for number, path in enumerate(databases):
            copies[path] = Path(scratch) / str(number)
            _copy_database(path, copies[path])
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as stream, tarfile.open(fileobj=stream, mode="w") as archive:
            files = _files(data)
            for path in files:
                archive.add(copies.get(path, path), arcname=str(path.relative_to(data)), recursive=False)
    return len(files)


def restore(file: Path, data: Path) -> int:
    """Unpack a copy into ``data``, which must not exist or be empty, and return the number of files.

    Raises:
        ConfigurationError: ``data`` is in use, or ``file`` is not a copy of a marketplace.
    """
    if data.exists() and any(data.iterdir()):
        raise ConfigurationError(f"{data} is not empty", remedy="Restore into a new directory")
    try:
        with tarfile.open(file, "r:") as archive:
            members = archive.getmembers()
            _check_members(members, file)
            data.mkdir(parents=True, exist_ok=True, mode=0o700)
            for member in members:
                _unpack(archive, member, data)
    except (tarfile.TarError, FileNotFoundError) as error:
        raise ConfigurationError(f"{file} cannot be unpacked: {error}") from error
    return len(members)


def _check_members(members: list[tarfile.TarInfo], file: Path) -> None:
    """Refuse an archive that is no copy of ours before anything of it is written."""
    names = [PurePosixPath(member.name) for member in members]
    if PurePosixPath(FILE_NAME) not in names:
        raise ConfigurationError(f"{file} is not a copy of a marketplace")
    for member, name in zip(members, names, strict=True):
        if not member.isreg() or name.is_absolute() or ".." in name.parts:
            raise ConfigurationError(f"{file} holds {member.name!r}, which no copy of a marketplace holds")


def _unpack(archive: tarfile.TarFile, member: tarfile.TarInfo, data: Path) -> None:
    target = data / member.name
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    content = archive.extractfile(member)
    if content is None:
        raise tarfile.TarError(f"{member.name} has no content")
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, member.mode & 0o777)
    with content, os.fdopen(descriptor, "wb") as out:
        shutil.copyfileobj(content, out)
