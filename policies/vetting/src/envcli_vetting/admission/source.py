"""Whether a review source archive is safe to show: listed as a stream, never unpacked to disk.

Source: PyPA specifications, source distribution format (PEP 625 names, ``{name}-{version}/PKG-INFO``).
"""

import gzip
import io
import tarfile
import zlib
from typing import Protocol

from envcli_vetting.admission.archive import (
    MAX_ARCHIVE_BYTES,
    MAX_MEMBERS,
    MAX_TEXT_BYTES,
    MAX_UNPACKED_BYTES,
    check_member_name,
)
from envcli_vetting.admission.errors import AdmissionError


class _Readable(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...


class _Counted(io.RawIOBase):
    """A stream that refuses to deliver more than the limit, whatever headers claim."""

    def __init__(self, inner: _Readable, filename: str) -> None:
        self._inner, self._filename, self._left = inner, filename, MAX_UNPACKED_BYTES

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._inner.read(min(size, self._left + 1) if size >= 0 else self._left + 1)
        self._left -= len(data)
        if self._left < 0:
            raise AdmissionError(
                "archive-too-large", f"{self._filename} unpacks to more than {MAX_UNPACKED_BYTES} bytes"
            )
        return data


def read_source_metadata(data: bytes, filename: str) -> bytes:
    """Check a ``.tar.gz`` source archive and return its PKG-INFO.

    Args:
        data: the archive.
        filename: its name, ``{name}-{version}.tar.gz``.

    Raises:
        AdmissionError: ``archive-too-large``, ``archive-unsafe`` or ``metadata-invalid``.
    """
    if len(data) > MAX_ARCHIVE_BYTES:
        raise AdmissionError("archive-too-large", f"{filename} has more than {MAX_ARCHIVE_BYTES} bytes")
    root = filename.removesuffix(".tar.gz")
    try:
        with (
            gzip.GzipFile(fileobj=io.BytesIO(data)) as plain,
            tarfile.open(fileobj=_Counted(plain, filename), mode="r|", errorlevel=2) as stream,
        ):
            metadata = _walk(stream, root, filename)
    except (tarfile.TarError, OSError, EOFError, zlib.error, ValueError) as error:
        raise AdmissionError("archive-unsafe", f"{filename} is no gzipped tar archive ({error})") from error
    if metadata is None:
        raise AdmissionError(
            "metadata-invalid", f"{filename} has no {root}/PKG-INFO", remedy="Build it again"
        )
    return metadata


def _walk(stream: tarfile.TarFile, root: str, filename: str) -> bytes | None:
    seen: set[str] = set()
    metadata = None
    for member in stream:
        check_member_name(member.name, filename)
        if member.name in seen or len(seen) >= MAX_MEMBERS or not (member.isreg() or member.isdir()):
            raise AdmissionError(
                "archive-unsafe", f"{filename} repeats or links {member.name!r}, or holds too many files"
            )
        if member.name.split("/", 1)[0] != root:
            raise AdmissionError("archive-unsafe", f"{filename} holds {member.name!r} outside {root}/")
        seen.add(member.name)
        if member.name == f"{root}/PKG-INFO" and member.size <= MAX_TEXT_BYTES:
            content = stream.extractfile(member)
            metadata = content.read() if content else None
    return metadata
