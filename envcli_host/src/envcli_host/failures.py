"""What the operating system refused, in words: the cause, the place it concerns, and what to do about it."""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from envcli_host.errors import EnvcliError

_FULL = {errno.ENOSPC, errno.EDQUOT}
_REFUSED = {errno.EACCES, errno.EPERM}
_NUMBER = re.compile(r"\[Errno (\d+)\]|\(os error (\d+)\)")
_SOMEWHERE = "a disk that envcli writes to"


class StorageError(EnvcliError):
    """The operating system did not let envcli read or write where it has to.

    Args:
        what: what did not succeed.
        error: what the operating system said.
        place: the file or folder that was worked on.
        extra: what else the remedy should say.
    """

    def __init__(self, what: str, error: OSError, place: Path, extra: str = "") -> None:
        cause, remedy = explain(error, place)
        super().__init__(f"{what}: {cause}", remedy=f"{remedy}; {extra}" if extra else remedy)
        self.error = error
        self.place = place


def explain(error: OSError, place: Path | None = None) -> tuple[str, str]:
    """Return cause and remedy, neither with a final full stop.

    Args:
        error: as the operating system reported it; also a `shutil.Error`, which holds many.
        place: the file or folder that was worked on; default: the one that the error names.
    """
    place = place or _named(error)
    behind = error.__cause__ or error.__context__
    number = error.errno or number_in(str(error)) or (behind.errno if isinstance(behind, OSError) else None)
    if number in _FULL:
        where = f"the disk that holds {place}" if place else _SOMEWHERE
        return f"no space is left on {where}", "Free some and try again"
    if number == errno.EROFS:
        where = f"the disk that holds {place}" if place else _SOMEWHERE
        return f"{where} is mounted read-only", "Mount it writable, or choose another folder"
    if number in _REFUSED:
        where = str(place) if place else "a file"
        return f"this user may not work on {where}", f"Correct {_holder(place)}'s owner or permissions"
    what = os.strerror(number) if number else _plain(error)
    return f"{place}: {what}" if place else what, "Check that file or folder" if place else "Try again"


def number_in(text: str) -> int | None:
    """Return the error number that a message of Python or of uv quotes, or None."""
    found = _NUMBER.search(text)
    return int(found[1] or found[2]) if found else None


@contextmanager
def explained(place: Path, what: str) -> Iterator[None]:
    """Turn an OSError of the block into one that names ``place``, and no scratch file below it.

    Args:
        place: the folder that the block works in.
        what: what did not succeed, for example ``nothing was installed``.
    """
    try:
        yield
    except OSError as error:
        raise StorageError(what, error, place) from error
    except StorageError as error:
        if not error.place.is_relative_to(place):
            raise
        raise StorageError(what, error.error, place) from error


def _named(error: OSError) -> Path | None:
    name = error.filename
    return Path(os.fsdecode(name)) if isinstance(name, (str, bytes)) and name else None


def _holder(place: Path | None) -> str:
    if place is None:
        return "its folder"
    folder = place
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return str(folder)


def _plain(error: OSError) -> str:
    first = error.args[0] if error.args else ""
    if isinstance(first, list):  # shutil.Error: (source, destination, why) for each file
        first = first[0][2] if first and len(first[0]) == 3 else "several files failed"
    return str(error.strerror or first or type(error).__name__)
