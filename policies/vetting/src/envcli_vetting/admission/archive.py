"""Whether a wheel is a safe archive: decided on its directory before a byte of a member is unpacked.

Installers differ in which of several contradicting entries of a ZIP they believe, so every construction that
two readers could understand differently is refused. Sources: the wheel specification (PyPA specifications,
binary distribution format), PKWARE APPNOTE 6.3 sections 4.3.7 (local header) and 4.3.16 (end of central
directory).
"""

import base64
import csv
import hashlib
import hmac
import io
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import PurePosixPath

from envcli_vetting.admission.errors import AdmissionError
from envcli_vetting.zip_structure import ArchiveLimits

_LIMITS = ArchiveLimits()  # one set of limits for gate, checks and dependencies
MAX_ARCHIVE_BYTES = _LIMITS.archive_bytes
MAX_UNPACKED_BYTES = _LIMITS.total_bytes
MAX_MEMBER_BYTES = _LIMITS.member_bytes
MAX_MEMBERS = _LIMITS.members
MAX_NAME = _LIMITS.name_bytes
MAX_RATIO = _LIMITS.ratio
RATIO_FLOOR_BYTES = _LIMITS.ratio_floor
MAX_TEXT_BYTES = 1024 * 1024

_LOCAL_HEADER = 30
_DESCRIPTOR_SIZES = frozenset({0, 12, 16, 20, 24})
_END_OF_DIRECTORY = 22
_HASHES = frozenset({"sha256", "sha384", "sha512"})
_FORBIDDEN_TOP = frozenset(
    {"sitecustomize", "usercustomize", "pluggy", "envcli_sdk", "envcli_host", "envcli_sandbox"}
    | {"envcli_policy", "envcli_vetting", "envcli_index", "envcli_web"}
)


_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError)


class SafeWheel:
    """A wheel whose archive was checked; reads its members.

    Args:
        data: the wheel's bytes.
        filename: for messages.

    Raises:
        AdmissionError: ``archive-too-large`` or ``archive-unsafe``.
    """

    def __init__(self, data: bytes, filename: str) -> None:
        self.filename = filename
        if len(data) > MAX_ARCHIVE_BYTES:
            raise AdmissionError(
                "archive-too-large",
                f"{filename} has {len(data)} bytes, the limit is {MAX_ARCHIVE_BYTES}",
                remedy="Leave data files out of the wheel",
            )
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(data))
        except (zipfile.BadZipFile, ValueError, struct.error, NotImplementedError) as error:
            raise _unsafe(filename, f"is no ZIP archive ({error})", "Build the wheel again") from error
        _check_directory(self._zip, filename)
        self._members = {info.filename: info for info in self._zip.infolist() if not info.is_dir()}
        _check_layout(self._zip, data, filename)
        self.dist_info = self._find_dist_info()
        self._check_record()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of every file."""
        return tuple(self._members)

    def read_text(self, name: str, limit: int = MAX_TEXT_BYTES) -> bytes | None:
        """Return a member's bytes, or ``None`` when there is none of that name.

        Raises:
            AdmissionError: ``archive-too-large``, the member has more than ``limit`` bytes, or ``archive-unsafe``.
        """
        info = self._members.get(name)
        if info is None:
            return None
        if info.file_size > limit:
            raise AdmissionError(
                "archive-too-large", f"{name} in {self.filename} has more than {limit} bytes"
            )
        try:
            return self._zip.read(info)
        except _BROKEN as error:
            raise _unsafe(self.filename, f"has a broken member {name!r} ({error})") from error

    def _find_dist_info(self) -> str:
        found = {top for name in self.names if (top := name.split("/", 1)[0]).endswith(".dist-info")}
        if len(found) != 1:
            raise _unsafe(self.filename, f"holds {len(found)} .dist-info folders", "Build the wheel again")
        return found.pop()

    def _check_record(self) -> None:
        """Every file stands in RECORD with its hash, and nothing else does."""
        name = f"{self.dist_info}/RECORD"
        listed = dict(self._record_rows(self.read_text(name) or b""))
        exempt = {name, f"{name}.jws", f"{name}.p7s"}
        if set(listed) - exempt != set(self._members) - exempt:
            odd = min((set(listed) ^ set(self._members)) - exempt)
            raise _unsafe(self.filename, f"and its RECORD disagree about {odd!r}", "Build the wheel again")
        for member, expected in listed.items():
            if member not in exempt:
                self._check_member(member, expected)

    def _record_rows(self, record: bytes) -> Iterator[tuple[str, str]]:
        try:
            rows = list(csv.reader(io.StringIO(record.decode("utf-8"))))
        except (UnicodeDecodeError, csv.Error) as error:
            raise _unsafe(self.filename, f"has an unreadable RECORD ({error})") from error
        seen: set[str] = set()
        for row in rows:
            if not row:
                continue
            if len(row) != 3 or row[0] in seen:
                raise _unsafe(self.filename, f"has a malformed RECORD at {row[:1]}")
            seen.add(row[0])
            yield row[0], row[1]

    def _check_member(self, name: str, expected: str) -> None:
        algorithm, _, encoded = expected.partition("=")
        if algorithm not in _HASHES:
            raise _unsafe(self.filename, f"lists no SHA-2 hash for {name!r} in RECORD")
        digest = hashlib.new(algorithm)
        try:
            with self._zip.open(self._members[name]) as member:
                while chunk := member.read(1 << 20):
                    digest.update(chunk)
        except _BROKEN as error:
            raise _unsafe(self.filename, f"has a broken member {name!r} ({error})") from error
        actual = base64.urlsafe_b64encode(digest.digest()).rstrip(b"=").decode()
        if not hmac.compare_digest(actual.encode(), encoded.encode()):
            raise _unsafe(self.filename, f"has a wrong hash for {name!r} in RECORD", "Build the wheel again")


def check_member_name(name: str, filename: str) -> None:
    """Refuse names that leave the target directory, hide, or mean different things on different systems.

    Args:
        name: the member's name as stored.
        filename: the archive, for messages.

    Raises:
        AdmissionError: ``archive-unsafe``.
    """
    parts = name.rstrip("/").split("/")
    if len(name) > MAX_NAME or not name.isprintable() or not all(parts) or {".", ".."} & set(parts):
        raise _unsafe(filename, f"has a member with the unsafe name {name[:80]!r}")
    if "\\" in name or ":" in name or name.startswith("~"):
        raise _unsafe(filename, f"has a member with the unsafe name {name[:80]!r}")


def _check_directory(archive: zipfile.ZipFile, filename: str) -> None:
    infos = archive.infolist()
    if len(infos) > MAX_MEMBERS or sum(info.file_size for info in infos) > MAX_UNPACKED_BYTES:
        raise AdmissionError(
            "archive-too-large",
            f"{filename} unpacks to more than {MAX_UNPACKED_BYTES} bytes or {MAX_MEMBERS} files",
            remedy="Leave data files out of the wheel",
        )
    if len({info.filename.casefold() for info in infos}) != len(infos):
        raise _unsafe(filename, "lists the same file name twice", "Build the wheel again")
    for info in infos:
        check_member_name(info.orig_filename, filename)  # zipfile cuts the other one at a NUL
        _check_entry(info, filename)


def _check_entry(info: zipfile.ZipInfo, filename: str) -> None:
    name = info.filename
    if info.flag_bits & 0x2041 or info.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        raise _unsafe(filename, f"has an encrypted or oddly compressed member {name!r}")
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in {0, stat.S_IFDIR if info.is_dir() else stat.S_IFREG}:
        raise _unsafe(filename, f"has a member {name!r} that is no regular file", "Replace links by files")
    large = info.file_size > RATIO_FLOOR_BYTES
    if large and info.file_size > MAX_RATIO * max(info.compress_size, 1):
        raise AdmissionError(
            "archive-too-large", f"{name!r} in {filename} is compressed more than {MAX_RATIO} fold"
        )
    if info.file_size > MAX_MEMBER_BYTES:
        raise AdmissionError(
            "archive-too-large",
            f"{name!r} in {filename} has more than {MAX_MEMBER_BYTES} bytes",
            remedy="Leave data files out of the wheel",
        )
    _check_place(PurePosixPath(name), filename)


def _check_place(path: PurePosixPath, filename: str) -> None:
    if path.suffix.lower() == ".pth":
        raise _unsafe(filename, f"holds {path}, which Python would run at start-up", "Remove the .pth file")
    top = path.parts[0]
    if top.endswith(".data"):
        raise _unsafe(filename, f"holds {path}, which installs outside the package", "Use package data")
    if top.split(".", 1)[0] in _FORBIDDEN_TOP:
        raise _unsafe(filename, f"holds {path}, which shadows another distribution", "Rename the package")


def _check_layout(archive: zipfile.ZipFile, data: bytes, filename: str) -> None:
    """Members lie one after the other from the first byte on, the directory ends the file, nothing is
    between.
    """
    position = 0
    for info in sorted(archive.infolist(), key=lambda one: one.header_offset):
        if (
            not 0 <= info.header_offset - position <= 24
            or info.header_offset - position not in _DESCRIPTOR_SIZES
        ):
            raise _unsafe(filename, f"has hidden or overlapping data before {info.filename!r}")
        position = _end_of_member(info, data, filename)
    if archive.start_dir - position not in _DESCRIPTOR_SIZES or archive.comment:
        raise _unsafe(filename, "has hidden data around its directory")
    if data[-_END_OF_DIRECTORY : -_END_OF_DIRECTORY + 4] != b"PK\x05\x06" or not data.startswith(
        b"PK\x03\x04"
    ):
        raise _unsafe(filename, "has data before its first or after its last byte as an archive")


def _end_of_member(info: zipfile.ZipInfo, data: bytes, filename: str) -> int:
    header = data[info.header_offset : info.header_offset + _LOCAL_HEADER]
    if len(header) < _LOCAL_HEADER or header[:4] != b"PK\x03\x04":
        raise _unsafe(filename, f"has no local header for {info.filename!r}")
    name_length, extra_length = struct.unpack_from("<HH", header, 26)
    start = info.header_offset + _LOCAL_HEADER
    local_name = data[start : start + name_length]
    if local_name != info.orig_filename.encode("utf-8" if info.flag_bits & 0x800 else "cp437"):
        raise _unsafe(filename, f"names {info.filename!r} differently in its two directories")
    return start + int(name_length) + int(extra_length) + info.compress_size


def _unsafe(filename: str, what: str, remedy: str = "") -> AdmissionError:
    return AdmissionError("archive-unsafe", f"{filename} {what}", remedy=remedy)
