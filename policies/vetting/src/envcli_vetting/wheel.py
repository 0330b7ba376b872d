"""A wheel as checks see it: verified structure, unpacked by our own hands, never imported.

Source: https://packaging.python.org/en/latest/specifications/binary-distribution-format/ (wheels, RECORD).
"""

from __future__ import annotations

import base64
import configparser
import csv
import hashlib
import io
from collections.abc import Iterator
from pathlib import Path

from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from envcli_vetting.errors import ArchiveError
from envcli_vetting.zip_structure import ArchiveLimits, ZipStructure, parse_zip

_SIGNATURES = frozenset({"RECORD.jws", "RECORD.p7s"})
ENTRY_POINT_GROUP = "envcli.plugins"


def read_wheel(path: Path, limits: ArchiveLimits) -> ZipStructure:
    """Read a wheel's structure; at most one byte more than the limit is read from the file.

    Raises:
        ArchiveError: See `parse_zip`.
    """
    with path.open("rb") as file:
        return parse_zip(file.read(limits.archive_bytes + 1), limits)


def unpack(archive: ZipStructure, folder: Path) -> None:
    """Write every file below `folder`, which must be empty; names were verified when the structure was read.

    Raises:
        ArchiveError: A member's data is not what its header says.
    """
    for member in archive.files:
        target = folder / member.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(archive.read(member))


def dist_info(archive: ZipStructure, filename: str) -> str:
    """The name of the one ``.dist-info`` folder.

    Raises:
        ArchiveError: There is none, there are several, or it belongs to another name or version.
    """
    tops = {member.name.split("/", 1)[0] for member in archive.members}
    found = sorted(top for top in tops if top.lower().endswith(".dist-info"))
    if len(found) != 1:
        raise ArchiveError(
            "wheel-dist-info", f"{filename} has {len(found)} .dist-info folders, it must be one"
        )
    name, version = split_name(filename)
    try:
        seen = parse_wheel_filename(f"{found[0].removesuffix('.dist-info')}-py3-none-any.whl")[:2]
    except InvalidWheelFilename as error:
        raise ArchiveError("wheel-dist-info", f"{found[0]} is no valid folder name") from error
    if (str(seen[0]), str(seen[1])) != (name, version):
        raise ArchiveError("wheel-dist-info", f"{found[0]} does not belong to {filename}")
    return found[0]


def split_name(filename: str) -> tuple[str, str]:
    """Normalized name and version in a wheel's file name.

    Raises:
        ArchiveError: Not a wheel's file name.
    """
    try:
        name, version, _, _ = parse_wheel_filename(filename)
    except InvalidWheelFilename as error:
        raise ArchiveError("wheel-filename", f"{filename[:200]!r} is no wheel file name") from error
    return str(name), str(version)


def record_problems(archive: ZipStructure, info: str) -> Iterator[tuple[str, str]]:
    """Compare RECORD with the files: yield (member, what is wrong)."""
    member = archive.find(f"{info}/RECORD")
    if member is None:
        yield f"{info}/RECORD", "RECORD is missing"
        return
    try:
        rows = list(csv.reader(io.StringIO(archive.read(member).decode("utf-8"))))
    except (UnicodeDecodeError, csv.Error):
        yield member.name, "RECORD is not CSV in UTF-8"
        return
    listed: dict[str, tuple[str, str]] = {}
    for row in rows:
        if len(row) != 3 or row[0] in listed:
            yield member.name, f"RECORD has a damaged or repeated row: {','.join(row)[:80]}"
        else:
            listed[row[0]] = (row[1], row[2])
    yield from _compare_record(archive, info, listed)


def _compare_record(
    archive: ZipStructure, info: str, listed: dict[str, tuple[str, str]]
) -> Iterator[tuple[str, str]]:
    exempt = {f"{info}/{name}" for name in (*_SIGNATURES, "RECORD")}
    names = {member.name for member in archive.files}
    for name in sorted(listed.keys() - names):
        yield name, "listed in RECORD but not in the wheel"
    for one in archive.files:
        if one.name in exempt:
            continue
        if one.name not in listed:
            yield one.name, "in the wheel but not in RECORD"
        elif listed[one.name] != (_record_hash(archive.read(one)), str(one.size)):
            yield one.name, "hash or size differ from RECORD (SHA-256 is required)"


def _record_hash(content: bytes) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


def parse_entry_points(text: str) -> dict[str, dict[str, str]]:
    """Groups of an ``entry_points.txt``, each name → object reference.

    Raises:
        ArchiveError: Not that format.
    """
    parser = configparser.ConfigParser(delimiters=("=",), interpolation=None, strict=True)
    parser.optionxform = str  # type: ignore[assignment, method-assign] # names are case-sensitive
    try:
        parser.read_string(text)
    except configparser.Error as error:
        raise ArchiveError(
            "entry-point-invalid", f"entry_points.txt: {str(error).splitlines()[0]}"
        ) from error
    return {group: dict(parser.items(group)) for group in parser.sections()}
