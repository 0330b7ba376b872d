"""Reading a zip archive in the only way there is.

The format says where things are twice, in local headers and in the central directory, and lets bytes lie
anywhere between. Installers, scanners and mirrors that read it differently see different files. An archive is
accepted here only if every reader must see the same: both descriptions agree, members follow each other
without gaps from the first byte to the last, and nothing needs an extension to be understood.

Source: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT (ZIP 6.3.10).
"""

from __future__ import annotations

import stat
import struct
import unicodedata
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from envcli_vetting.errors import ArchiveError

_END = struct.Struct("<4s4H2LH")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_STORED, _DEFLATED = 0, 8
_ENCRYPTED, _STREAMED, _STRONG, _UTF8 = 0x1, 0x8, 0x40, 0x800
_ZIP64, _UNICODE_PATH = 0x0001, 0x7075
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class ArchiveLimits:
    """Sizes in bytes, counts in members, `ratio` as unpacked to packed bytes above `ratio_floor`."""

    archive_bytes: int = 100 << 20
    member_bytes: int = 64 << 20
    total_bytes: int = 256 << 20
    members: int = 20_000
    ratio: int = 100
    ratio_floor: int = 4 << 20
    name_bytes: int = 240


@dataclass(frozen=True, slots=True)
class Member:
    """One member: its name, where its data lies, its sizes in bytes, and whether it is a folder."""

    name: str
    method: int
    start: int
    packed: int
    size: int
    crc: int
    is_folder: bool


@dataclass(frozen=True, slots=True)
class ZipStructure:
    """A verified archive; `members` in the order of the central directory."""

    data: bytes
    members: tuple[Member, ...]

    @property
    def files(self) -> tuple[Member, ...]:
        """The members that are files."""
        return tuple(member for member in self.members if not member.is_folder)

    def find(self, name: str) -> Member | None:
        """The member of that name."""
        return next((member for member in self.members if member.name == name), None)

    def read(self, member: Member) -> bytes:
        """Unpack one member.

        Raises:
            ArchiveError: The data is not what the headers promise: longer, shorter, damaged.
        """
        packed = self.data[member.start : member.start + member.packed]
        content = packed if member.method == _STORED else _inflate(packed, member)
        if len(content) != member.size or zlib.crc32(content) != member.crc:
            raise ArchiveError(
                "archive-damaged", f"{member.name} is not what its header says", path=member.name
            )
        return content


def parse_zip(data: bytes, limits: ArchiveLimits) -> ZipStructure:
    """Verify an archive's structure without unpacking anything.

    Args:
        data: The whole archive.
        limits: What is acceptable.

    Raises:
        ArchiveError: It can be read in more than one way, is too large, or holds a hostile name or type.
    """
    if len(data) > limits.archive_bytes:
        raise ArchiveError(
            "archive-too-large", f"the archive has {len(data)} bytes, limit {limits.archive_bytes}"
        )
    count, directory = _parse_end(data)
    if count > limits.members:
        raise ArchiveError("archive-too-large", f"the archive has {count} members, limit {limits.members}")
    members = tuple(_parse_members(data, count, directory))
    _check_contiguous(data, members, directory)
    _check_names([member.name for member in members], limits)
    _check_sizes(members, limits)
    return ZipStructure(data, members)


def _parse_end(data: bytes) -> tuple[int, int]:
    """Return member count and offset of the central directory; the end record must be the last 22 bytes."""
    start = len(data) - _END.size
    if start < 0 or data[start : start + 4] != b"PK\x05\x06":
        raise ArchiveError(
            "archive-confusing", "the archive does not end with a zip end record without comment"
        )
    _, disk, first_disk, here, count, size, offset, comment = _END.unpack_from(data, start)
    if disk or first_disk or here != count or comment:
        raise ArchiveError("archive-confusing", "the archive has a comment or several parts")
    locator = data[start - 20 : start - 16] if start >= 20 else b""
    if count == 0xFFFF or 0xFFFFFFFF in {size, offset} or locator == b"PK\x06\x07":
        raise ArchiveError("archive-confusing", "the archive uses zip64, which no plugin needs")
    if offset + size != start:
        raise ArchiveError("archive-confusing", "bytes lie between the central directory and the end record")
    return count, offset


def _parse_members(data: bytes, count: int, directory: int) -> Iterator[Member]:
    position, end = directory, len(data) - _END.size
    for _ in range(count):
        if position + _CENTRAL.size > end or data[position : position + 4] != b"PK\x01\x02":
            raise ArchiveError("archive-confusing", "the central directory is damaged")
        fields = _CENTRAL.unpack_from(data, position)
        name_length, extra_length, comment_length = fields[10:13]
        name_end = position + _CENTRAL.size + name_length
        raw, extra = data[position + _CENTRAL.size : name_end], data[name_end : name_end + extra_length]
        position = name_end + extra_length + comment_length
        if comment_length:
            raise ArchiveError("archive-confusing", "a member has a comment", path=_decode(raw, fields[3]))
        yield _parse_member(data, fields, raw, extra)
    if position != end:
        raise ArchiveError("archive-confusing", "the central directory holds more than the end record says")


def _parse_member(data: bytes, fields: tuple[int, ...], raw: bytes, extra: bytes) -> Member:
    flags, method, crc, packed, size = fields[3], fields[4], fields[7], fields[8], fields[9]
    attributes, offset = fields[15], fields[16]
    name = _decode(raw, flags)
    if flags & (_ENCRYPTED | _STREAMED | _STRONG):
        raise ArchiveError("archive-confusing", f"{name} is encrypted or streamed", path=name)
    if method not in {_STORED, _DEFLATED}:
        raise ArchiveError("archive-confusing", f"{name} uses compression method {method}", path=name)
    _check_extra(extra, name)
    start = _check_local(data, offset, raw, (flags, method, crc, packed, size), name)
    is_folder = name.endswith("/")
    _check_type(attributes >> 16, is_folder, size, name)
    return Member(name, method, start, packed, size, crc, is_folder)


def _check_local(data: bytes, offset: int, raw: bytes, expected: tuple[int, ...], name: str) -> int:
    """Compare the local header with the central directory; return where the data starts."""
    if offset + _LOCAL.size > len(data) or data[offset : offset + 4] != b"PK\x03\x04":
        raise ArchiveError("archive-confusing", f"{name} has no local header", path=name)
    local = _LOCAL.unpack_from(data, offset)
    name_length, extra_length = int(local[9]), int(local[10])
    start = offset + _LOCAL.size
    seen = (local[2], local[3], local[6], local[7], local[8])
    if data[start : start + name_length] != raw or seen != expected:
        raise ArchiveError(
            "archive-confusing", f"{name}: local header and central directory differ", path=name
        )
    _check_extra(data[start + name_length : start + name_length + extra_length], name)
    return start + name_length + extra_length


def _check_extra(extra: bytes, name: str) -> None:
    position = 0
    while position + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, position)
        if kind in {_ZIP64, _UNICODE_PATH}:
            raise ArchiveError("archive-confusing", f"{name} carries a second name or size", path=name)
        position += 4 + length
    if position != len(extra):
        raise ArchiveError("archive-confusing", f"{name} has a damaged extra field", path=name)


def _check_type(mode: int, is_folder: bool, size: int, name: str) -> None:
    kind = stat.S_IFMT(mode)
    if kind not in {0, stat.S_IFREG, stat.S_IFDIR} or (is_folder and size):
        raise ArchiveError("archive-unsafe", f"{name} is a link or a special file", path=name)
    if kind and (kind == stat.S_IFDIR) != is_folder:
        raise ArchiveError("archive-confusing", f"{name} is a file and a folder at once", path=name)


def _check_contiguous(data: bytes, members: tuple[Member, ...], directory: int) -> None:
    """Every byte before the central directory belongs to exactly one member."""
    position = 0
    for member in sorted(members, key=lambda one: one.start):
        header = _LOCAL.unpack_from(data, position) if position + _LOCAL.size <= directory else None
        if header is None or position + _LOCAL.size + header[9] + header[10] != member.start:
            raise ArchiveError("archive-confusing", f"bytes hide before {member.name}", path=member.name)
        position = member.start + member.packed
    if position != directory:
        raise ArchiveError("archive-confusing", "bytes hide before the central directory")


def check_name(name: str, limits: ArchiveLimits) -> None:
    """Refuse a member name that could leave the folder it is unpacked into, or that two systems read
    differently.

    Raises:
        ArchiveError: Such a name.
    """
    parts = name.removesuffix("/").split("/")
    if len(name.encode()) > limits.name_bytes or not all(parts) or {".", ".."} & set(parts):
        raise ArchiveError(
            "archive-unsafe", f"the member name {name[:80]!r} leaves its folder or is too long"
        )
    if "\\" in name or ":" in name or not name.isprintable() or unicodedata.normalize("NFC", name) != name:
        raise ArchiveError(
            "archive-unsafe", f"the member name {name[:80]!r} has characters that systems read apart"
        )
    if any(part != part.strip() or part.endswith(".") for part in parts):
        raise ArchiveError(
            "archive-unsafe", f"the member name {name[:80]!r} starts or ends with blank or dot"
        )


def _check_names(names: list[str], limits: ArchiveLimits) -> None:
    seen: set[str] = set()
    files: set[str] = set()
    for name in names:
        check_name(name, limits)
        folded = name.removesuffix("/").casefold()
        if folded in seen:
            raise ArchiveError(
                "archive-duplicate", f"{name} stands twice (letter case does not count)", path=name
            )
        seen.add(folded)
        if not name.endswith("/"):
            files.add(folded)
    for folded in seen:
        parts = folded.split("/")
        if any("/".join(parts[:n]) in files for n in range(1, len(parts))):
            raise ArchiveError("archive-duplicate", f"{folded} lies below a file", path=folded)


def _check_sizes(members: tuple[Member, ...], limits: ArchiveLimits) -> None:
    total = sum(member.size for member in members)
    packed = sum(member.packed for member in members)
    for member in members:
        if member.size > limits.member_bytes:
            raise ArchiveError(
                "archive-bomb", f"{member.name} unpacks to {member.size} bytes", path=member.name
            )
    if total > limits.total_bytes or (total > limits.ratio_floor and total > packed * limits.ratio):
        raise ArchiveError("archive-bomb", f"{packed} packed bytes unpack to {total}")


def _inflate(packed: bytes, member: Member) -> bytes:
    engine = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        content = engine.decompress(packed, member.size + 1)
    except zlib.error as error:
        raise ArchiveError(
            "archive-damaged", f"{member.name} cannot be unpacked", path=member.name
        ) from error
    if not engine.eof and len(content) <= member.size:
        content += engine.flush(1)
    if not engine.eof or engine.unused_data:
        raise ArchiveError(
            "archive-damaged", f"{member.name} is longer than its header says", path=member.name
        )
    return content


def _decode(raw: bytes, flags: int) -> str:
    try:
        return raw.decode("utf-8" if flags & _UTF8 else "ascii")
    except UnicodeDecodeError as error:
        raise ArchiveError(
            "archive-unsafe", "a member name is not in the character set it declares"
        ) from error
