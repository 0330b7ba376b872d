"""Linked folders: a plugin's source on this machine, run without verification, under the strict policy.

Nothing of the folder is executed to read it: name, version and entry point come from ``pyproject.toml``.
"""

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from envcli_sdk.errors import ManifestError
from envcli_sdk.manifest import ENTRY_POINT_GROUP, MANIFEST_NAME, PluginManifest, parse_manifest

from envcli_host.config import HostPaths
from envcli_host.files import read_bounded
from envcli_host.plugins.errors import InstallError
from envcli_host.plugins.registry import Origin, Record
from envcli_host.plugins.runtime import guest_folder, guest_with_dependencies

_MAX_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Link:
    """A linked folder as it is now.

    Attributes:
        manifest: its ``plugin.toml``.
        manifest_sha256: of the file.
        tree: import root, ``src`` or the folder itself.
        guest: SDK, pluggy and the wheels it depends on.
    """

    manifest: PluginManifest
    manifest_sha256: str
    tree: Path
    guest: Path


def read_folder(folder: Path) -> Record:
    """Make a registry record of a plugin's project folder.

    Raises:
        InstallError: it is no plugin project.
    """
    project = _table(_toml(folder / "pyproject.toml"), "project", folder)
    name, version = project.get("name"), project.get("version", "0")
    points = _table(_table(project, "entry-points", folder), ENTRY_POINT_GROUP, folder)
    if not isinstance(name, str) or not isinstance(version, str) or len(points) != 1:
        raise InstallError(
            f"{folder}/pyproject.toml lacks a name, a version or its one entry point in {ENTRY_POINT_GROUP}",
            remedy="Compare it with one that envcli plugin new writes",
        )
    entry = str(next(iter(points.values())))
    manifest, digest = _manifest(_tree(folder, entry), entry)
    if manifest.id not in points:
        raise InstallError(f"the entry point in {folder} does not bear the manifest's id {manifest.id!r}")
    return Record(
        project="-".join(name.lower().replace("_", "-").replace(".", "-").split("-")),
        version=version,
        id=manifest.id,
        type=str(manifest.type),
        origin=Origin.LINKED,
        entry=entry,
        contributes=tuple((str(item.kind), item.name, item.summary) for item in manifest.contributes),
        manifest_sha256=digest,
        installed=datetime.now(UTC).isoformat(timespec="seconds"),
        folder=str(folder),
    )


def third_party(folder: Path) -> tuple[str, ...]:
    """Requirements of a linked folder that the sandbox does not provide anyway."""
    project = _table(_toml(folder / "pyproject.toml"), "project", folder)
    found = project.get("dependencies", [])
    if not isinstance(found, list):
        raise InstallError(f"{folder}/pyproject.toml: dependencies is no list")
    provided = ("envcli-sdk", "envcli_sdk", "pluggy")
    return tuple(str(item) for item in found if not str(item).lower().startswith(provided))


def load_link(record: Record, paths: HostPaths) -> Link:
    """Read a linked folder again before it runs.

    Raises:
        InstallError: it is gone, or no plugin any more.
    """
    tree = _tree(Path(record.folder), record.entry)
    manifest, digest = _manifest(tree, record.entry)
    if manifest.id != record.id:
        raise InstallError(
            f"{record.folder} is now plugin {manifest.id!r}", remedy="Run: envcli plugin dev PATH"
        )
    guest = guest_with_dependencies(record.project, paths) or guest_folder(paths)
    return Link(manifest, digest, tree, guest)


def _tree(folder: Path, entry: str) -> Path:
    package = entry.partition(":")[0].partition(".")[0]
    for tree in (folder / "src", folder):
        if (tree / package / MANIFEST_NAME).is_file():
            return tree
    raise InstallError(
        f"{folder} holds no {package}/{MANIFEST_NAME}, neither in src nor at its top",
        remedy="Name a plugin's folder",
    )


def _manifest(tree: Path, entry: str) -> tuple[PluginManifest, str]:
    path = tree / entry.partition(":")[0].partition(".")[0] / MANIFEST_NAME
    try:
        raw = read_bounded(path, _MAX_BYTES)
        return parse_manifest(raw), hashlib.sha256(raw).hexdigest()
    except ManifestError as error:
        raise InstallError(f"{path.parent.name}/{error}", remedy="Correct it") from error


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(read_bounded(path, _MAX_BYTES).decode())
    except FileNotFoundError:
        raise InstallError(
            f"{path} does not exist", remedy="Name the folder that holds pyproject.toml"
        ) from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InstallError(f"{path} is no TOML: {error}") from error


def _table(table: Mapping[str, Any], key: str, folder: Path) -> dict[str, Any]:
    value = table.get(key, {})
    if not isinstance(value, dict):
        raise InstallError(f"{folder}/pyproject.toml: {key} is no table")
    return value
