"""What a check is given: one wheel of a release, unpacked, and what is known around it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from envcli_sdk import PermissionName, PermissionRequest, PluginManifest, parse_manifest

from envcli_vetting.errors import ArchiveError
from envcli_vetting.wheel import ENTRY_POINT_GROUP, parse_entry_points, split_name


@dataclass(frozen=True, slots=True)
class Pin:
    """One dependency as it was resolved: normalized name and version."""

    name: str
    version: str


@dataclass(frozen=True, slots=True)
class ReleaseTree:
    """One wheel and its surroundings; plain data, so it can be handed to another process.

    Attributes:
        wheel: The wheel itself.
        root: Folder that it was unpacked into; empty until the archive check passed.
        scratch: Folder that a check may write to.
        sdist: The review source archive, if any.
        closure: Every dependency of the wheel, or None when it was not resolved.
        osv_url: OSV query address, or None when there is none.
        first_release: Whether no earlier release of the project was promoted.
        previous: Permissions of the newest promoted release.
    """

    wheel: Path
    root: Path
    scratch: Path
    sdist: Path | None = None
    closure: tuple[Pin, ...] | None = None
    osv_url: str | None = None
    first_release: bool = True
    previous: tuple[PermissionRequest, ...] = field(default=())

    @property
    def name(self) -> str:
        """Normalized project name, from the wheel's file name."""
        return split_name(self.wheel.name)[0]

    @property
    def version(self) -> str:
        """Version, from the wheel's file name."""
        return split_name(self.wheel.name)[1]

    @property
    def info(self) -> Path:
        """The unpacked ``.dist-info`` folder."""
        return next(self.root.glob("*.dist-info"))

    def python_files(self) -> Iterator[tuple[str, Path]]:
        """Every file that Python could import as source: member name and path, sorted."""
        for path in sorted(self.root.rglob("*")):
            if path.is_file() and path.suffix in {".py", ".pyw"}:
                yield path.relative_to(self.root).as_posix(), path

    def entry_point(self) -> tuple[str, str]:
        """Name and object reference of the one plugin entry point.

        Raises:
            ArchiveError: There is none, there are several, or the file cannot be read.
        """
        path = self.info / "entry_points.txt"
        groups = parse_entry_points(path.read_text(encoding="utf-8")) if path.is_file() else {}
        plugins = groups.get(ENTRY_POINT_GROUP, {})
        if len(plugins) != 1:
            message = f"the wheel has {len(plugins)} entry points in {ENTRY_POINT_GROUP!r}, it must be one"
            raise ArchiveError("entry-point-missing", message, path=f"{self.info.name}/entry_points.txt")
        return next(iter(plugins.items()))

    def manifest_path(self) -> Path:
        """Where ``plugin.toml`` must lie: in the package that the entry point names.

        Raises:
            ArchiveError: No entry point, a reference that is no module path, or no manifest there.
        """
        module = self.entry_point()[1].partition(":")[0].strip()
        parts = module.split(".")
        if not all(part.isidentifier() for part in parts):
            raise ArchiveError(
                "entry-point-invalid", f"the entry point names {module[:80]!r}, which is no module"
            )
        path = self.root / parts[0] / "plugin.toml"
        if not path.is_file():
            raise ArchiveError(
                "manifest-missing", f"there is no {parts[0]}/plugin.toml", path=f"{parts[0]}/plugin.toml"
            )
        return path

    def manifest(self) -> PluginManifest:
        """The parsed manifest.

        Raises:
            ArchiveError: See `manifest_path`.
            envcli_sdk.ManifestError: It does not parse.
        """
        return parse_manifest(self.manifest_path().read_bytes())

    def to_json(self) -> str:
        """The tree as JSON, for the process that runs a check."""
        document: dict[str, Any] = {
            "wheel": str(self.wheel),
            "root": str(self.root),
            "scratch": str(self.scratch),
            "sdist": str(self.sdist) if self.sdist else None,
            "closure": None if self.closure is None else [[pin.name, pin.version] for pin in self.closure],
            "osv_url": self.osv_url,
            "first_release": self.first_release,
            "previous": [[one.permission, one.scope, one.reason] for one in self.previous],
        }
        return json.dumps(document)

    @classmethod
    def from_json(cls, text: str) -> ReleaseTree:
        """The inverse of `to_json`."""
        document = json.loads(text)
        closure = document["closure"]
        return cls(
            wheel=Path(document["wheel"]),
            root=Path(document["root"]),
            scratch=Path(document["scratch"]),
            sdist=Path(document["sdist"]) if document["sdist"] else None,
            closure=None if closure is None else tuple(Pin(*pin) for pin in closure),
            osv_url=document["osv_url"],
            first_release=document["first_release"],
            previous=tuple(
                PermissionRequest(PermissionName(name), scope, reason)
                for name, scope, reason in document["previous"]
            ),
        )
