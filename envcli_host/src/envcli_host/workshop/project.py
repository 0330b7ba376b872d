"""A plugin's source folder, as its ``pyproject.toml`` describes it (PEP 621)."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from envcli_host.workshop.errors import ProjectError

PREFIX = "envcli-plugin-"
ENTRY_POINT_GROUP = "envcli.plugins"


@dataclass(frozen=True)
class PluginProject:
    """What the workshop needs to know about a plugin project.

    Attributes:
        directory: the folder that holds ``pyproject.toml``.
        name: normalized project name.
        version: normalized version.
        entry: value of its one entry point, ``package.module:Class``.
        requirements: requirement strings of ``[project] dependencies`` (PEP 508).
    """

    directory: Path
    name: str
    version: str
    entry: str
    requirements: tuple[str, ...]

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Read the project in ``directory``.

        Raises:
            ProjectError: no project there, or it is not one plugin.
        """
        table = _read_project_table(directory / "pyproject.toml")
        name = canonicalize_name(str(table.get("name", "")))
        if not name.startswith(PREFIX):
            raise ProjectError(
                f"the project in {directory} is named {name!r}",
                remedy=f"A plugin's name starts with {PREFIX}",
            )
        return cls(directory, name, _static_version(table), _single_entry(table), _requirements(table))

    @property
    def dist(self) -> Path:
        """Where its files are built."""
        return self.directory / "dist"

    @property
    def package(self) -> str:
        """The import package that its entry point names."""
        return self.entry.partition(":")[0].partition(".")[0]

    def manifest_file(self) -> Path:
        """Return its ``plugin.toml`` in the source tree (``src`` layout or flat).

        Raises:
            ProjectError: there is none.
        """
        for root in (self.directory / "src", self.directory):
            candidate = root / self.package / "plugin.toml"
            if candidate.is_file():
                return candidate
        raise ProjectError(
            f"{self.name} has no {self.package}/plugin.toml", remedy="Add the plugin's manifest"
        )


def _read_project_table(file: Path) -> dict[str, Any]:
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ProjectError(
            f"{file.parent} is not a plugin project: it has no pyproject.toml",
            remedy="Change to the project's folder, or start one with: envcli plugin new NAME --type TYPE",
        ) from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ProjectError(f"cannot read {file}: {error}", remedy="Correct the file") from error
    table = document.get("project")
    if not isinstance(table, dict):
        raise ProjectError(f"{file} has no [project] table", remedy="Describe the project as PEP 621 says")
    return table


def _static_version(table: dict[str, Any]) -> str:
    try:
        return str(Version(str(table.get("version", ""))))
    except InvalidVersion as error:
        raise ProjectError(
            f"the project's version cannot be used: {error}",
            remedy="Set a static PEP 440 version in [project]; a release is then named before it is built",
        ) from error


def _single_entry(table: dict[str, Any]) -> str:
    groups = table.get("entry-points")
    group = groups.get(ENTRY_POINT_GROUP) if isinstance(groups, dict) else None
    if not isinstance(group, dict) or len(group) != 1:
        found = len(group) if isinstance(group, dict) else 0
        raise ProjectError(
            f"the project has {found} entry points in the group {ENTRY_POINT_GROUP}",
            remedy="Name exactly one: one project is one plugin",
        )
    return str(next(iter(group.values())))


def _requirements(table: dict[str, Any]) -> tuple[str, ...]:
    listed = table.get("dependencies", [])
    if not isinstance(listed, list) or not all(isinstance(item, str) for item in listed):
        raise ProjectError(
            "[project] dependencies is no list of texts", remedy="List requirements as PEP 508 says"
        )
    return tuple(listed)
