"""The curated dependencies: wheels that no publisher can write, admitted by vetting or by the
administrator.
"""

import hashlib
import shutil
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from packaging.metadata import parse_email
from packaging.utils import InvalidWheelFilename, parse_wheel_filename
from packaging.version import InvalidVersion
from sqlalchemy import Connection, Engine, insert, select

from envcli_index import database as db
from envcli_index import queue
from envcli_index.config import IndexConfig
from envcli_index.database import write
from envcli_index.errors import IndexServiceError

PLUGIN_PREFIX = "envcli-plugin-"
MAX_METADATA_BYTES = 2 * 1024 * 1024


class DependencyError(IndexServiceError):
    """A wheel cannot become a curated dependency."""


@dataclass(frozen=True)
class DependencyWheel:
    """A wheel on this machine, read but not run.

    Attributes:
        name: normalized project name.
        version: version.
        filename: name of the file.
        content: its bytes.
        sha256: digest, hexadecimal.
        metadata: its METADATA.
        requires_python: specifier or ``None``.
    """

    name: str
    version: str
    filename: str
    content: bytes
    sha256: str
    metadata: bytes
    requires_python: str | None


def read_wheel(path: Path) -> DependencyWheel:
    """Read a wheel's name, digest and metadata.

    Raises:
        DependencyError: the file is no wheel, or its name belongs to publishers.
    """
    try:
        name, version, _, _ = parse_wheel_filename(path.name)
        content = path.read_bytes()
        with zipfile.ZipFile(path) as archive:
            found = [one for one in archive.infolist() if _is_metadata(one.filename)]
            if len(found) != 1 or found[0].file_size > MAX_METADATA_BYTES:
                raise DependencyError(f"{path.name} has no usable METADATA")
            metadata = archive.read(found[0])
    except (OSError, InvalidWheelFilename, InvalidVersion, zipfile.BadZipFile) as error:
        raise DependencyError(f"{path} cannot be read as a wheel: {error}") from error
    if name.startswith(PLUGIN_PREFIX):
        raise DependencyError(f"{name} is a plugin", remedy="Plugins are published and vetted, never added")
    requires_python = parse_email(metadata)[0].get("requires_python")
    sha256 = hashlib.sha256(content).hexdigest()
    return DependencyWheel(name, str(version), path.name, content, sha256, metadata, requires_python)


def _is_metadata(name: str) -> bool:
    return name.count("/") == 1 and name.endswith(".dist-info/METADATA")


def add_wheels(
    engine: Engine, config: IndexConfig, wheels: Iterable[Path], *, first_party: bool
) -> list[str]:
    """Admit wheels on the administrator's word; the gate stores them in devpi and publishes them.

    Args:
        engine: the database.
        config: the index.
        wheels: files.
        first_party: the wheels are this project's own.

    Returns:
        The names of the projects.

    Raises:
        DependencyError: a file is no wheel, or differs from an admitted one of the same name.
    """
    names = []
    for path in wheels:
        wheel = read_wheel(path)
        keep(config, wheel, path)
        with write(engine) as connection:
            admit(connection, wheel, first_party=first_party)
            queue.enqueue(connection, "deps", {"filename": wheel.filename}, wheel.filename)
        names.append(wheel.name)
    return names


def keep(config: IndexConfig, wheel: DependencyWheel, source: Path) -> Path:
    """Copy a wheel to where the gate takes dependencies from, and return the place."""
    target = stored_path(config, wheel.sha256, wheel.filename)
    if not target.exists():
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        partial = target.with_name(f".{target.name}")
        shutil.copyfile(source, partial)
        partial.replace(target)
    return target


def stored_path(config: IndexConfig, sha256: str, filename: str) -> Path:
    """Return where a dependency wheel lies."""
    return config.closure / sha256 / filename


def admit(connection: Connection, wheel: DependencyWheel, *, first_party: bool = False) -> bool:
    """Record a dependency; return whether it is new.

    Raises:
        DependencyError: another file of that name was admitted before.
    """
    table = db.dependency
    known = connection.execute(select(table.c.sha256).where(table.c.filename == wheel.filename)).scalar()
    if known is not None:
        if known != wheel.sha256:
            raise DependencyError(
                f"{wheel.filename} was admitted with the SHA-256 {known[:16]}, now it has {wheel.sha256[:16]}",
                remedy="Find out who replaced the file upstream before anything else",
            )
        return False
    row = {
        "filename": wheel.filename,
        "name": wheel.name,
        "version": wheel.version,
        "sha256": wheel.sha256,
        "metadata_sha256": hashlib.sha256(wheel.metadata).hexdigest(),
        "size": len(wheel.content),
        "requires_python": wheel.requires_python,
        "first_party": first_party,
    }
    connection.execute(insert(table).values(row))
    return True
