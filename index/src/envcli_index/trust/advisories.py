"""The database of advisories: OSV documents in SQLite, loaded source by source.

A source is a snapshot (a JSON file, a folder of them, or a ZIP archive such as the OSV export of PyPI
advisories) and is replaced as a whole. Its newest modification time is kept, because a database that is
merely old looks like one that knows no vulnerability. A new database holds a small seed until the first
real source is loaded.
"""

import json
import sqlite3
import zipfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

from packaging.version import Version

from envcli_index.trust.errors import AdvisoryError
from envcli_index.trust.ranges import is_affected, package_name
from envcli_index.trust.settings import TrustSettings

DATABASE = "osv.db"
SEED_SOURCE = "seed"
OWN_SOURCE = "own"
MAX_DOCUMENT = 8 << 20
_MAX_DOCUMENTS = 500_000
_BUSY_SECONDS = 10.0
_EPOCH = datetime.fromtimestamp(0, UTC)
_ANY_VERSION = Version("1")
_SCHEMA = """
CREATE TABLE IF NOT EXISTS source (
    name TEXT PRIMARY KEY,
    loaded TEXT NOT NULL,
    newest TEXT NOT NULL,
    advisories INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS advisory (
    id TEXT NOT NULL,
    source TEXT NOT NULL,
    modified TEXT NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (id, source)
);
CREATE TABLE IF NOT EXISTS affected (
    name TEXT NOT NULL,
    id TEXT NOT NULL,
    source TEXT NOT NULL,
    PRIMARY KEY (name, id, source)
) WITHOUT ROWID;
"""


@dataclass(frozen=True)
class Source:
    """What is known of one loaded source: when it was loaded, its newest change, and how many advisories it has."""

    name: str
    loaded: datetime
    newest: datetime
    advisories: int


def load_advisories(path: Path, config: TrustSettings, source: str = "pypa") -> Source:
    """Replace the advisories of ``source`` by those in ``path``, all or none.

    Args:
        path: an OSV document (or a list of them) in JSON, a folder of such files, or a ZIP archive of them.
        config: the index, whose database is ``DIR/osv.db``.
        source: where they are from; ``own`` for advisories on plugins of this index.

    Raises:
        AdvisoryError: nothing was found, or a document is not OSV.
    """
    return AdvisoryDatabase(config.data / DATABASE).replace(source, _documents(path))


class AdvisoryDatabase:
    """The advisories in one SQLite file; safe to use from several threads and processes."""

    def __init__(self, path: Path) -> None:
        """Open the database in ``path`` and put the seed into a new one."""
        self._path = path
        with closing(self._connect()) as connection:
            connection.executescript(_SCHEMA)
        if not self.sources():
            self.replace(SEED_SOURCE, iter(_seed()))

    def replace(self, source: str, documents: Iterator[Any]) -> Source:
        """Replace the advisories of ``source``; a real snapshot also takes the place of the seed.

        Raises:
            AdvisoryError: there are none, or a document is not OSV; nothing is changed then.
        """
        newest, count = _EPOCH, 0
        with self._writing() as connection:
            for old in (source,) if source == OWN_SOURCE else (source, SEED_SOURCE):
                _delete(connection, old)
            for document in documents:
                newest, count = max(newest, _insert(connection, source, document)), count + 1
            if not count:
                raise AdvisoryError(f"no advisory found for the source {source}; name OSV documents in JSON")
            loaded = Source(source, datetime.now(UTC).replace(microsecond=0), newest, count)
            row = (source, loaded.loaded.isoformat(), newest.isoformat(), count)
            connection.execute("INSERT INTO source VALUES (?, ?, ?, ?)", row)
        return loaded

    def sources(self) -> list[Source]:
        """Return what is loaded."""
        rows = self._rows("SELECT name, loaded, newest, advisories FROM source ORDER BY name")
        return [Source(name, _time(loaded), _time(newest), count) for name, loaded, newest, count in rows]

    def get(self, identifier: str) -> dict[str, Any] | None:
        """Return the advisory ``identifier``, or None."""
        rows = self._rows(
            "SELECT document FROM advisory WHERE id = ? ORDER BY modified DESC LIMIT 1", identifier
        )
        return json.loads(rows[0][0]) if rows else None

    def affecting(self, name: str, version: Version | None) -> list[dict[str, Any]]:
        """Return the advisories, without withdrawn ones, on a version of a project (normalized name)."""
        rows = self._rows(
            "SELECT document FROM affected JOIN advisory USING (id, source) WHERE name = ? ORDER BY id", name
        )
        found = (json.loads(document) for (document,) in rows)
        return [one for one in found if not one.get("withdrawn") and is_affected(one, name, version)]

    def _rows(self, query: str, *values: str) -> list[tuple[Any, ...]]:
        with closing(self._connect()) as connection:
            return connection.execute(query, values).fetchall()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, timeout=_BUSY_SECONDS)
        connection.execute("PRAGMA journal_mode = WAL")
        return connection

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with closing(self._connect()) as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                connection.execute("ROLLBACK")
                raise


def _delete(connection: sqlite3.Connection, source: str) -> None:
    connection.execute("DELETE FROM source WHERE name = ?", (source,))
    connection.execute("DELETE FROM advisory WHERE source = ?", (source,))
    connection.execute("DELETE FROM affected WHERE source = ?", (source,))


def _insert(connection: sqlite3.Connection, source: str, document: Any) -> datetime:
    """Store one advisory and return when it was last changed."""
    try:
        identifier, modified = document["id"], _time(document["modified"])
        names = {package_name(affected) for affected in document.get("affected", [])} - {None}
        for name in names:
            is_affected(
                document, str(name), _ANY_VERSION
            )  # an advisory that cannot be evaluated is refused here
        row = (identifier, source, modified.isoformat(), json.dumps(document))
        connection.execute("INSERT INTO advisory VALUES (?, ?, ?, ?)", row)
    except (KeyError, TypeError, ValueError, AttributeError, sqlite3.Error) as error:
        name = document.get("id") if isinstance(document, dict) else None
        raise AdvisoryError(f"the advisory {name!r} is not OSV ({type(error).__name__}: {error})") from error
    connection.executemany(
        "INSERT INTO affected VALUES (?, ?, ?)", [(name, identifier, source) for name in names]
    )
    return modified


def _documents(path: Path) -> Iterator[Any]:
    """Yield the OSV documents in ``path``."""
    try:
        if path.is_dir():
            for file in sorted(path.rglob("*.json")):
                yield from _parsed(file.read_bytes(), str(file))
        elif zipfile.is_zipfile(path):
            yield from _members(path)
        else:
            yield from _parsed(path.read_bytes(), str(path))
    except (OSError, zipfile.BadZipFile) as error:
        raise AdvisoryError(f"{path} cannot be read ({error}); name OSV documents in JSON") from error


def _members(path: Path) -> Iterator[Any]:
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name.endswith(".json")]
        if len(names) > _MAX_DOCUMENTS:
            raise AdvisoryError(f"{path} holds more than {_MAX_DOCUMENTS} documents")
        for name in names:
            with archive.open(name) as member:
                yield from _parsed(member.read(MAX_DOCUMENT + 1), f"{path}:{name}")


def _parsed(raw: bytes, name: str) -> list[Any]:
    if len(raw) > MAX_DOCUMENT:
        raise AdvisoryError(f"{name} is larger than {MAX_DOCUMENT} bytes; split it into one file an advisory")
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise AdvisoryError(f"{name} is not JSON ({error})") from error
    return document if isinstance(document, list) else [document]


def _seed() -> list[Any]:
    text = (files("envcli_index.trust") / "data" / "seed-advisories.json").read_text(encoding="utf-8")
    seed: list[Any] = json.loads(text)
    return seed


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    return time if time.tzinfo else time.replace(tzinfo=UTC)
