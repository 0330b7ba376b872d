"""Plugins that plain pip put beside the host: *pointers*, found by metadata and never imported.

What a pointer says about itself is a hint for choosing what to fetch and verify, nothing more. The answer is kept
in a file and holds as long as the folders on ``sys.path`` and the registry keep their modification times, so the
usual call reads one file and imports no metadata library.
"""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from envcli_host.config import HostPaths
from envcli_host.failures import StorageError
from envcli_host.files import read_bounded, write_atomically

if TYPE_CHECKING:
    from importlib_metadata import Distribution

_MAX_BYTES = 4 << 20
_MAX_MANIFEST = 64 * 1024


@dataclass(frozen=True, slots=True)
class Pointer:
    """A distribution beside the host that calls itself an envcli plugin.

    Attributes:
        project: normalized name.
        version: as its metadata says.
        id: from its manifest, or "".
        contributes: (kind, name) of each contribution that its manifest claims.
        problem: why its manifest could not be read, or "".
    """

    project: str
    version: str
    id: str
    contributes: tuple[tuple[str, str], ...]
    problem: str = ""


def find_pointers(paths: HostPaths) -> tuple[Pointer, ...]:
    """Every pointer on ``sys.path`` that is not installed in the host's own store."""
    state = _state(paths)
    cached = _cached(paths, state)
    if cached is None:
        cached = tuple(_scan())
        _remember(paths, state, cached)
    from envcli_host.plugins.registry import Registry

    registry = Registry.load(paths)
    return tuple(pointer for pointer in cached if registry.get(pointer.project) is None)


def _state(paths: HostPaths) -> list[list[Any]]:
    """Folders on ``sys.path`` and the registry (our log of installs) with their modification times."""
    folders = [entry for entry in dict.fromkeys(sys.path) if entry and Path(entry).is_dir()]
    return [[entry, os.stat(entry).st_mtime_ns] for entry in folders] + [  # noqa: PTH116 - hot path
        ["registry", paths.registry_file.stat().st_mtime_ns if paths.registry_file.exists() else 0]
    ]


def _cached(paths: HostPaths, state: list[list[Any]]) -> tuple[Pointer, ...] | None:
    try:
        raw = json.loads(read_bounded(_file(paths), _MAX_BYTES))
        if raw["state"] != state:
            return None
        return tuple(
            Pointer(
                str(item["project"]),
                str(item["version"]),
                str(item["id"]),
                tuple((str(kind), str(name)) for kind, name in item["contributes"]),
                str(item["problem"]),
            )
            for item in raw["pointers"]
        )
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def _remember(paths: HostPaths, state: list[list[Any]], found: tuple[Pointer, ...]) -> None:
    if not paths.data.is_dir():  # nothing was ever installed, and looking creates nothing
        return
    pointers = [
        {
            "project": item.project,
            "version": item.version,
            "id": item.id,
            "contributes": item.contributes,
            "problem": item.problem,
        }
        for item in found
    ]
    with suppress(StorageError):  # it is found again next time
        write_atomically(_file(paths), json.dumps({"state": state, "pointers": pointers}).encode())


def _file(paths: HostPaths) -> Path:
    return paths.cache / "pointers.json"


def _scan() -> Iterator[Pointer]:
    """Read metadata of every distribution; the slow way, taken once for each change."""
    import importlib_metadata
    from envcli_sdk.manifest import ENTRY_POINT_GROUP

    seen: set[str] = set()
    for distribution in importlib_metadata.Distribution.discover():
        text = distribution.read_text("entry_points.txt") or ""
        if f"[{ENTRY_POINT_GROUP}]" in text:
            pointer = _pointer(distribution, text)
            if pointer is not None and pointer.project not in seen:
                seen.add(pointer.project)
                yield pointer


def _pointer(distribution: "Distribution", text: str) -> Pointer | None:
    from envcli_sdk.errors import ManifestError
    from envcli_sdk.manifest import MANIFEST_NAME, parse_manifest
    from packaging.utils import canonicalize_name

    from envcli_host.errors import EnvcliError
    from envcli_host.plugins.wheels import parse_entry_points

    name, version = distribution.metadata["Name"], distribution.version
    if not name or not version:
        return None
    project = canonicalize_name(name)
    try:
        _, entry = parse_entry_points(text)
        package = entry.partition(":")[0].partition(".")[0]
        path = Path(str(distribution.locate_file(f"{package}/{MANIFEST_NAME}")))
        manifest = parse_manifest(read_bounded(path, _MAX_MANIFEST))
    except (EnvcliError, ManifestError, FileNotFoundError) as error:
        return Pointer(project, version, "", (), str(error) or type(error).__name__)
    return Pointer(project, version, manifest.id, tuple((str(c.kind), c.name) for c in manifest.contributes))
