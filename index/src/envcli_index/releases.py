"""Releases as the database tells them: typed rows for plugin, gate and pages."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from envcli_policy.release import Publisher
from envcli_policy.statements import Subject
from envcli_policy.vetting import ReleaseState
from packaging.version import Version
from sqlalchemy import Connection, Row, Select, insert, select

from envcli_index import database as db
from envcli_index.errors import IndexServiceError
from envcli_index.trust.files import write_whole


class UnknownReleaseError(IndexServiceError):
    """The index has no such project or release."""


@dataclass(frozen=True)
class ReleaseFile:
    """One file of a release; see the table ``file``."""

    filename: str
    kind: str
    sha256: str
    metadata_sha256: str | None
    size: int
    relpath: str
    attestations: str
    uploaded: datetime


@dataclass(frozen=True)
class Release:
    """One release with its project, publisher and files; see the table ``release``."""

    id: int
    project: str
    project_uuid: str
    project_status: str
    publisher: Publisher
    version: str
    state: ReleaseState
    reason: str | None
    uploaded: datetime
    changed: datetime
    promoted: datetime | None
    yanked: str | None
    manifest: str
    core_metadata: dict[str, Any]
    files: tuple[ReleaseFile, ...]

    @property
    def wheels(self) -> tuple[ReleaseFile, ...]:
        """The files that users install."""
        return tuple(file for file in self.files if file.kind == "wheel")

    @property
    def subjects(self) -> tuple[Subject, ...]:
        """Every wheel as the subject of a statement."""
        return tuple(Subject(file.filename, file.sha256) for file in self.wheels)

    @property
    def all_subjects(self) -> tuple[Subject, ...]:
        """Every file, the review source archive included."""
        return tuple(Subject(file.filename, file.sha256) for file in self.files)

    @property
    def label(self) -> str:
        """Name and version, for messages."""
        return f"{self.project} {self.version}"


@dataclass(frozen=True)
class StoredStatement:
    """A signed statement that the index keeps; see the table ``statement``."""

    name: str
    predicate_type: str
    sha256: str
    keyid: str
    created: datetime


def load_release(connection: Connection, release_id: int) -> Release:
    """Return a release by row id.

    Raises:
        UnknownReleaseError: there is none.
    """
    rows = _load(connection, _query().where(db.release.c.id == release_id))
    if not rows:
        raise UnknownReleaseError(f"there is no release {release_id}")
    return rows[0]


def find_release(connection: Connection, project: str, version: str) -> Release:
    """Return a release by normalized name and version.

    Raises:
        UnknownReleaseError: there is none.
    """
    where = (db.project.c.name == project, db.release.c.version == version)
    rows = _load(connection, _query().where(*where))
    if not rows:
        raise UnknownReleaseError(f"there is no {project} {version}", remedy="Check name and version")
    return rows[0]


def project_releases(connection: Connection, project: str) -> list[Release]:
    """Return every release of a project, oldest version first."""
    found = _load(connection, _query().where(db.project.c.name == project))
    return sorted(found, key=lambda one: Version(one.version))


def project_names(connection: Connection) -> list[str]:
    """Return every claimed name, sorted."""
    return list(connection.execute(select(db.project.c.name).order_by(db.project.c.name)).scalars())


def open_release_ids(connection: Connection) -> list[int]:
    """Return the releases that still have a way to go."""
    open_states = ("submitted", "checking", "auto-approved", "needs-human", "approved")
    query = select(db.release.c.id).where(db.release.c.state.in_(open_states)).order_by(db.release.c.id)
    return list(connection.execute(query).scalars())


def releases_in(connection: Connection, states: Sequence[str]) -> list[Release]:
    """Return every release in one of these states, longest waiting first."""
    query = _query().where(db.release.c.state.in_(states)).order_by(db.release.c.uploaded, db.release.c.id)
    return _load(connection, query)


def statements_of(connection: Connection, release_id: int) -> list[StoredStatement]:
    """Return the statements about a release in the order they came."""
    columns = (db.statement.c[name] for name in ("name", "predicate_type", "sha256", "keyid", "created"))
    query = select(*columns).where(db.statement.c.release == release_id).order_by(db.statement.c.id)
    return [StoredStatement(*row) for row in connection.execute(query)]


def closure_of(connection: Connection, release_id: int) -> list[dict[str, str]]:
    """Return the dependency wheels that vetting resolved: name, version, filename, sha256."""
    columns = (db.closure.c[name] for name in ("name", "version", "filename", "sha256"))
    query = select(*columns).where(db.closure.c.release == release_id).order_by(db.closure.c.filename)
    return [dict(row) for row in connection.execute(query).mappings()]


def observations_of(connection: Connection, release_id: int) -> list[dict[str, Any]]:
    """Return what vetting observed, as plain JSON."""
    columns = [column for column in db.observation.c if column.name not in {"id", "release"}]
    query = select(*columns).where(db.observation.c.release == release_id).order_by(db.observation.c.id)
    return [dict(row) for row in connection.execute(query).mappings()]


def takedown_of(connection: Connection, release: Release) -> dict[str, Any] | None:
    """Return the newest takedown that names a release by version or by a file's digest, ``None`` without one.

    Returns:
        id, reason, severity, issued and advisory.
    """
    shown = ("id", "reason", "severity", "issued", "advisory")
    query = select(db.takedown).where(db.takedown.c.project == release.project)
    digests = {file.sha256 for file in release.files}
    newest_first = query.order_by(db.takedown.c.issued.desc(), db.takedown.c.id)
    for row in connection.execute(newest_first).mappings():
        if {"*", release.version} & set(row["versions"]) or digests & set(row["sha256"]):
            return {name: row[name] for name in shown}
    return None


def save_envelope(statements: Path, sha256: str, envelope: bytes) -> None:
    """Keep an envelope's bytes under its digest; done before the row that refers to it."""
    statements.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = statements / sha256
    if not path.exists():
        write_whole(path, envelope)


def add_statement(
    connection: Connection, release_id: int, name: str, predicate_type: str, sha256: str, keyid: str
) -> None:
    """Record a statement whose envelope was saved; a newer one of the same name replaces the row."""
    where = (db.statement.c.release == release_id, db.statement.c.name == name)
    connection.execute(db.statement.delete().where(*where))
    row = {"release": release_id, "name": name, "predicate_type": predicate_type}
    connection.execute(insert(db.statement).values(row | {"sha256": sha256, "keyid": keyid}))


def _query() -> Select[Any]:
    return (
        select(
            db.release,
            db.project.c.name.label("project_name"),
            db.project.c.status.label("project_status"),
            db.publisher.c.uuid.label("publisher_uuid"),
            db.publisher.c.name.label("publisher_name"),
            db.publisher.c.identity,
            db.publisher.c.issuer,
        )
        .join(db.project, db.project.c.uuid == db.release.c.project)
        .join(db.publisher, db.publisher.c.uuid == db.project.c.publisher)
    )


def _load(connection: Connection, query: Select[Any]) -> list[Release]:
    rows = list(connection.execute(query))
    files: dict[int, list[ReleaseFile]] = {row.id: [] for row in rows}
    columns = [db.file.c[name] for name in ReleaseFile.__dataclass_fields__]
    wanted = (
        select(db.file.c.release, *columns).where(db.file.c.release.in_(files)).order_by(db.file.c.filename)
    )
    for owner, *values in connection.execute(wanted):
        files[owner].append(ReleaseFile(*values))
    return [_release(row, tuple(files[row.id])) for row in rows]


def _release(row: Row[Any], files: tuple[ReleaseFile, ...]) -> Release:
    return Release(
        id=row.id,
        project=row.project_name,
        project_uuid=row.project,
        project_status=row.project_status,
        publisher=Publisher(row.publisher_uuid, row.publisher_name, row.identity, row.issuer),
        version=row.version,
        state=ReleaseState(row.state),
        reason=row.reason,
        uploaded=row.uploaded,
        changed=row.changed,
        promoted=row.promoted,
        yanked=row.yanked,
        manifest=row.manifest,
        core_metadata=row.core_metadata,
        files=files,
    )
