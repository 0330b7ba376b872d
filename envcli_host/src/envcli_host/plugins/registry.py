"""Which plugins are installed: one JSON file, written at install, read without importing anything of a plugin."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from envcli_host.config import HostPaths
from envcli_host.files import locked, read_bounded, write_atomically
from envcli_host.plugins.errors import RegistryError, UnknownPluginError

VERSION = 1
_MAX_BYTES = 8 * 1024 * 1024
_PROJECT = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,98}[a-z0-9])?")
_ID = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
_INDEX = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_RELEASE = re.compile(r"[0-9][0-9a-z.+!_]{0,63}")
_HEX = re.compile(r"[0-9a-f]{64}")
_ENTRY = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*(?::[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)?")
_REINSTALL = "Remove the file and install the plugins again"


class Origin(StrEnum):
    """Where a plugin came from, which decides how far it is believed."""

    INDEX = "index"
    LINKED = "linked"
    POINTER = "pointer"


@dataclass(frozen=True, slots=True)
class Record:
    """One installed plugin.

    Attributes:
        project: normalized distribution name; the key.
        version: installed version.
        id: short name from the manifest.
        type: from the manifest.
        origin: verified install or linked folder.
        entry: entry point, run only inside the sandbox.
        contributes: (kind, name, summary) of each contribution.
        requires: projects of other plugins that it depends on.
        index_name: index it came from, or "".
        wheel_sha256: digest of its wheel, or "".
        closure: digests of the libraries that were installed with it.
        manifest_sha256: digest of ``plugin.toml``.
        tree_sha256: digest of the list of installed files, or "".
        python: cache tag of the interpreter that it was installed for.
        publisher: name, identity and issuer as verified at install.
        installed: ISO time.
        folder: the linked folder, or "".
    """

    project: str
    version: str
    id: str
    type: str
    origin: Origin
    entry: str
    contributes: tuple[tuple[str, str, str], ...] = ()
    requires: tuple[str, ...] = ()
    index_name: str = ""
    wheel_sha256: str = ""
    closure: tuple[str, ...] = ()
    manifest_sha256: str = ""
    tree_sha256: str = ""
    python: str = ""
    publisher: Mapping[str, str] = field(default_factory=dict)
    installed: str = ""
    folder: str = ""

    def names(self, kind: str) -> tuple[str, ...]:
        """Names of its contributions of one kind."""
        return tuple(name for found, name, _ in self.contributes if found == kind)

    def release_dir(self, paths: HostPaths) -> Path:
        """Where the store keeps it; computed from checked names, never read from the file."""
        return paths.plugins_dir / self.project / self.version


class Registry:
    """The installed plugins by project name."""

    def __init__(self, records: Mapping[str, Record]) -> None:
        self._records = dict(records)

    @classmethod
    def load(cls, paths: HostPaths) -> "Registry":
        """Read the registry file; without one nothing is installed.

        Raises:
            RegistryError: it is malformed. Nothing of it is believed then.
        """
        try:
            raw = json.loads(read_bounded(paths.registry_file, _MAX_BYTES))
        except FileNotFoundError:
            return cls({})
        except ValueError as error:
            raise RegistryError(f"{paths.registry_file} is no JSON: {error}", remedy=_REINSTALL) from error
        if (
            not isinstance(raw, dict)
            or raw.get("version") != VERSION
            or not isinstance(raw.get("plugins"), dict)
        ):
            raise RegistryError(f"{paths.registry_file} is not of version {VERSION}", remedy=_REINSTALL)
        try:
            return cls({name: _record(name, entry) for name, entry in raw["plugins"].items()})
        except RegistryError as error:
            raise RegistryError(f"{paths.registry_file}: {error.message}", remedy=error.remedy) from error

    def __iter__(self) -> Iterator[Record]:
        return iter(self._records.values())

    def get(self, project: str) -> Record | None:
        """The record of one project, or None."""
        return self._records.get(project)

    def find(self, name: str) -> Record:
        """The plugin of that project name (in any spelling) or id.

        Raises:
            UnknownPluginError: none is installed.
        """
        wanted = re.sub(r"[-_.]+", "-", name).lower()
        for record in self:
            if wanted in {record.project, record.id}:
                return record
        raise UnknownPluginError(
            f"plugin {name} is not installed", remedy=f"Run: envcli plugin install {name}"
        )

    def contributors(self, kind: str) -> Iterator[Record]:
        """Plugins that contribute something of one kind."""
        return (record for record in self if record.names(kind))

    def save(self, paths: HostPaths) -> None:
        """Replace the file; call it inside `registry_lock`."""
        table = {
            "version": VERSION,
            "plugins": {name: asdict(record) for name, record in self._records.items()},
        }
        write_atomically(paths.registry_file, json.dumps(table, indent=1).encode())

    def with_record(self, record: Record) -> "Registry":
        """A registry that holds ``record`` in place of any other version of its project."""
        return Registry({**self._records, record.project: record})

    def without(self, project: str) -> "Registry":
        """A registry without that project."""
        return Registry({name: record for name, record in self._records.items() if name != project})


@contextmanager
def registry_lock(paths: HostPaths) -> Iterator[None]:
    """One writer of registry, grants and store at a time."""
    with locked(paths.data / "registry.lock"):
        yield


def _record(name: str, raw: object) -> Record:
    try:
        record = _typed(raw)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise RegistryError(f"the entry {name!r} is malformed ({error})", remedy=_REINSTALL) from error
    _verify(name, record)
    return record


def _typed(raw: Any) -> Record:
    known = set(Record.__slots__)
    if not isinstance(raw, dict) or set(raw) != known:
        raise ValueError("unknown or missing keys")
    texts = {key: raw[key] for key in known - {"closure", "contributes", "requires", "publisher", "origin"}}
    if not all(isinstance(value, str) for value in texts.values()):
        raise TypeError("a text is not a text")
    contributes = tuple((str(kind), str(item), str(summary)) for kind, item, summary in raw["contributes"])
    publisher = {str(key): str(value) for key, value in raw["publisher"].items()}
    return Record(
        **texts,
        origin=Origin(raw["origin"]),
        closure=tuple(str(item) for item in raw["closure"]),
        contributes=contributes,
        requires=tuple(str(item) for item in raw["requires"]),
        publisher=publisher,
    )


def _verify(name: str, record: Record) -> None:
    digests = (record.wheel_sha256, record.manifest_sha256, record.tree_sha256, *record.closure)
    indexed = record.origin is Origin.INDEX
    sound = (
        name == record.project
        and _PROJECT.fullmatch(record.project)
        and _RELEASE.fullmatch(record.version)
        and ".." not in record.version
        and _ENTRY.fullmatch(record.entry)
        and _ID.fullmatch(record.id)
        and (not indexed or _INDEX.fullmatch(record.index_name))
        and record.origin is not Origin.POINTER
        and (not indexed or all(_HEX.fullmatch(digest) for digest in digests))
        and bool(record.folder) == (record.origin is Origin.LINKED)
    )
    if not sound:
        raise RegistryError(f"the entry {name!r} is not one that envcli writes", remedy=_REINSTALL)
