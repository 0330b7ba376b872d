"""Everything a catalogue shows about a plugin: its manifest and the wheel's METADATA together."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesParser, Parser
from email.policy import compat32
from pathlib import Path

from envcli_sdk.errors import ManifestError
from envcli_sdk.manifest import MANIFEST_NAME, PluginManifest, parse_manifest
from envcli_sdk.permissions import PermissionRequest

_NORMALIZE = re.compile(r"[-_.]+")
_MAX_METADATA = 1024 * 1024


@dataclass(frozen=True, slots=True)
class PluginMetadata:
    """What a plugin says about itself.

    Attributes:
        id: short name from the manifest.
        name: normalized distribution name (PEP 503).
        version: of the distribution.
        description: its one-line summary.
        author: names and addresses as METADATA gives them, or "".
        license: SPDX expression, or the older free text, or "".
        dependencies: requirement strings (PEP 508).
        permissions: what it asks for.
        minimum_host_version: oldest host it runs with.
    """

    id: str
    name: str
    version: str
    description: str
    author: str
    license: str
    dependencies: tuple[str, ...]
    permissions: tuple[PermissionRequest, ...]
    minimum_host_version: str


def metadata_from(manifest: PluginManifest, metadata: bytes | str) -> PluginMetadata:
    """Join a parsed manifest with the text of ``*.dist-info/METADATA`` (core metadata).

    Raises:
        ManifestError: METADATA is too large, or lacks name or version.
    """
    if len(metadata) > _MAX_METADATA:
        raise ManifestError(f"METADATA is larger than {_MAX_METADATA} bytes")
    if isinstance(metadata, bytes):
        message: Message[str, str] = BytesParser(policy=compat32).parsebytes(metadata, headersonly=True)
    else:
        message = Parser(policy=compat32).parsestr(metadata, headersonly=True)
    name, version = str(message.get("Name", "")), str(message.get("Version", ""))
    if not name or not version:
        raise ManifestError("METADATA lacks Name or Version")
    return PluginMetadata(
        id=manifest.id,
        name=_NORMALIZE.sub("-", name).lower(),
        version=version,
        description=str(message.get("Summary", "")),
        author=_first(message, "Author-Email", "Author", "Maintainer-Email", "Maintainer"),
        license=_first(message, "License-Expression", "License"),
        dependencies=_all(message.get_all("Requires-Dist")),
        permissions=manifest.permissions,
        minimum_host_version=manifest.minimum_host_version,
    )


def installed_metadata(module: str) -> PluginMetadata:
    """Metadata of an imported plugin; a source folder without METADATA goes by its package's name, version 0.

    Raises:
        ManifestError: its package holds no valid manifest.
    """
    package = module.partition(".")[0]
    folder = Path(str(sys.modules[package].__file__)).parent
    try:
        manifest = parse_manifest((folder / MANIFEST_NAME).read_bytes())
    except FileNotFoundError:
        raise ManifestError(f"package {package} holds no {MANIFEST_NAME}") from None
    for info in folder.parent.glob("*.dist-info"):
        points = info / "entry_points.txt"
        if points.is_file() and re.search(rf"=\s*{package}\b", points.read_text(encoding="utf-8")):
            return metadata_from(manifest, (info / "METADATA").read_bytes())
    return metadata_from(manifest, f"Metadata-Version: 2.1\nName: {package}\nVersion: 0\n")


def _first(message: Message[str, str], *names: str) -> str:
    return next((str(message[name]) for name in names if message.get(name)), "")


def _all(values: Iterable[object] | None) -> tuple[str, ...]:
    return tuple(str(value) for value in values or ())
