"""What a wheel holds, read without running or unpacking it (PEP 427, core metadata, entry points)."""

import configparser
import hashlib
import re
import stat
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from envcli_sdk.errors import ManifestError
from envcli_sdk.manifest import ENTRY_POINT_GROUP, MANIFEST_NAME, PluginManifest, parse_manifest
from envcli_sdk.metadata import PluginMetadata, metadata_from

from envcli_host.plugins.errors import InstallError

MAX_ENTRIES = 50_000
MAX_UNPACKED = 1 << 30
MAX_RATIO = 200
_SMALL = 1 << 20
_ENTRY = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*(?::[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)?")
_STARTUP = {"sitecustomize.py", "usercustomize.py"}


@dataclass(frozen=True, slots=True)
class PluginWheel:
    """A plugin as its wheel presents it; nothing of it has been believed yet.

    Attributes:
        manifest: parsed ``plugin.toml``.
        metadata: manifest and METADATA together.
        entry: ``package.module:attribute``.
    """

    manifest: PluginManifest
    metadata: PluginMetadata
    entry: str


def read_plugin_wheel(path: Path) -> PluginWheel:
    """Read manifest, METADATA and entry point of a plugin's wheel.

    Raises:
        InstallError: it is no sound wheel, or no plugin.
    """
    with _opened(path) as archive:
        info = _dist_info(archive, path)
        entry_id, entry = parse_entry_points(
            _read(archive, f"{info}/entry_points.txt", path).decode("utf-8", "replace")
        )
        package = entry.partition(":")[0].partition(".")[0]
        try:
            manifest = parse_manifest(_read(archive, f"{package}/{MANIFEST_NAME}", path))
            metadata = metadata_from(manifest, _read(archive, f"{info}/METADATA", path))
        except ManifestError as error:
            raise InstallError(
                f"{path.name}: {error}", remedy="Ask the publisher for a corrected release"
            ) from error
    if manifest.id != entry_id:
        raise InstallError(
            f"{path.name}: entry point {entry_id!r} does not bear the manifest's id {manifest.id!r}"
        )
    return PluginWheel(manifest, metadata, entry)


def parse_entry_points(text: str) -> tuple[str, str]:
    """The one plugin that an ``entry_points.txt`` names, as (name, value).

    Raises:
        InstallError: it names none, several, or one that is not ``package.module:attribute``.
    """
    parser = configparser.ConfigParser(delimiters=("=",), interpolation=None, strict=True)
    parser.optionxform = str  # type: ignore[assignment,method-assign] # names are case-sensitive
    try:
        parser.read_string(text)
        found = parser.items(ENTRY_POINT_GROUP) if parser.has_section(ENTRY_POINT_GROUP) else []
    except configparser.Error as error:
        raise InstallError(f"entry_points.txt is malformed ({type(error).__name__})") from error
    if len(found) != 1:
        raise InstallError(
            f"{len(found)} entry points stand in group {ENTRY_POINT_GROUP}; a plugin has exactly one"
        )
    name, value = found[0][0].strip(), found[0][1].strip()
    if not _ENTRY.fullmatch(value):
        raise InstallError(f"entry point {value[:80]!r} is not package.module:attribute")
    return name, value


def verify_wheel(path: Path, sha256: str) -> None:
    """Check digest and archive of a wheel before a tool unpacks it.

    Raises:
        InstallError: another digest, an unsafe path, a link, something that runs by itself, or too much of it.
    """
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if digest != sha256:
        raise InstallError(f"{path.name} has SHA-256 {digest}, expected {sha256}", remedy="Download it again")
    with _opened(path) as archive:
        entries = archive.infolist()
        if len(entries) > MAX_ENTRIES or sum(entry.file_size for entry in entries) > MAX_UNPACKED:
            raise InstallError(
                f"{path.name} unpacks to more than {MAX_ENTRIES} files or {MAX_UNPACKED >> 20} MiB"
            )
        names: set[str] = set()
        for entry in entries:
            reason = _objection(entry, names)
            if reason:
                raise InstallError(f"{path.name}: {entry.filename[:120]!r} {reason}")
            names.add(entry.filename.casefold())


def _objection(entry: zipfile.ZipInfo, seen: set[str]) -> str:
    """Why an archive member must not be unpacked, or ""."""
    path = PurePosixPath(entry.filename)
    kind = stat.S_IFMT(entry.external_attr >> 16)
    reasons = (
        (
            path.is_absolute() or ".." in path.parts or "\\" in entry.filename or ":" in path.parts[0],
            "leaves its folder",
        ),
        (any(ord(char) < 32 for char in entry.filename), "has a name with control characters"),
        (kind not in {0, stat.S_IFREG, stat.S_IFDIR}, "is neither a plain file nor a folder"),
        (entry.filename.casefold() in seen, "occurs twice"),
        (entry.flag_bits & 1, "is encrypted"),
        (
            entry.file_size > _SMALL and entry.file_size > MAX_RATIO * max(entry.compress_size, 1),
            "is a zip bomb",
        ),
        (path.suffix == ".pth" or path.name in _STARTUP, "would run by itself when an interpreter starts"),
        (path.suffix in {".pyc", ".pyo"}, "is compiled code without its source being compared"),
    )
    return next((reason for is_so, reason in reasons if is_so), "")


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise InstallError(
            f"{path.name} is no readable wheel: {error}", remedy="Download it again"
        ) from error


def _dist_info(archive: zipfile.ZipFile, path: Path) -> str:
    found = {
        name.partition("/")[0] for name in archive.namelist() if name.partition("/")[0].endswith(".dist-info")
    }
    if len(found) != 1:
        raise InstallError(f"{path.name} holds {len(found)} .dist-info folders; a wheel has exactly one")
    return found.pop()


def _read(archive: zipfile.ZipFile, name: str, path: Path) -> bytes:
    try:
        entry = archive.getinfo(name)
    except KeyError:
        raise InstallError(f"{path.name} lacks {name}, so it is no envcli plugin") from None
    if entry.file_size > _SMALL:
        raise InstallError(f"{path.name}: {name} is larger than {_SMALL >> 20} MiB")
    return archive.read(entry)
