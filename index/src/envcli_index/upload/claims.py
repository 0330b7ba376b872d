"""What an accepted upload writes into the database: publisher, name claim, release, file and vetting job at
once."""

from collections.abc import Callable
from datetime import datetime
from http import HTTPStatus
from uuid import uuid4

from envcli_policy.vetting import ReleaseState
from sqlalchemy import Connection, delete, insert, select, update

from envcli_index import queue
from envcli_index.database import (
    closure,
    file,
    observation,
    project,
    publisher,
    release,
    statement,
    takedown,
)
from envcli_index.upload.errors import GateError
from envcli_index.upload.tokens import Principal
from envcli_index.upload.verification import VerifiedFile

VETTING_DELAY_SECONDS = 2.0  # a release's wheel and source archive come one after the other
_OPEN = frozenset(
    {ReleaseState.SUBMITTED, ReleaseState.CHECKING, ReleaseState.AUTO_APPROVED, ReleaseState.NEEDS_HUMAN}
)
_LOOK_ALIKE = str.maketrans({"0": "o", "1": "l", "i": "l", "-": None})


def record_upload(
    connection: Connection, who: Principal, upload: VerifiedFile, store: Callable[[], str]
) -> bool:
    """Claim the name if it is new and add release and file, and the jobs once the release has a wheel.

    Args:
        connection: a write transaction; the upload is accepted when it is committed.
        who: the publisher.
        upload: the file that passed every check.
        store: stores the bytes and returns devpi's path; called when nothing in the database speaks against
            it.

    Returns:
        ``False`` when the very same file was accepted before: a repeated upload is no error.

    Raises:
        GateError: ``name-owned``, ``name-similar``, ``version-exists`` or ``taken-down``.
    """
    _upsert_publisher(connection, who)
    project_uuid = _claim(connection, who, upload.identity.project)
    known = connection.execute(select(file.c.sha256).where(file.c.filename == upload.filename)).scalar()
    if known == upload.sha256:
        return False
    if known is not None:
        raise _exists(f"{upload.filename} was uploaded before with other content")
    release_id = _release(connection, project_uuid, upload)
    _insert_file(connection, release_id, upload, store())
    if _has_wheel(connection, release_id):  # a source archive alone is no release yet
        payload = {"release": release_id}
        queue.enqueue(connection, "vet", payload, f"release-{release_id}", delay=VETTING_DELAY_SECONDS)
        queue.enqueue(connection, "gate", payload, f"release-{release_id}")
    return True


def withdraw_source(connection: Connection, who: Principal, upload: VerifiedFile) -> None:
    """Forget an earlier source archive that ``upload`` corrects, as long as its release has no wheel.

    A version is used up by its first accepted wheel. This is a transaction of its own before ``record_upload``:
    a process that dies in between leaves bytes without a row, never a row without its bytes.
    """
    if upload.identity.kind != "sdist":
        return
    query = (
        select(file.c.id, file.c.release)
        .join(release, release.c.id == file.c.release)
        .join(project, project.c.uuid == release.c.project)
        .where(file.c.filename == upload.filename, file.c.sha256 != upload.sha256)
        .where(project.c.publisher == who.publisher, release.c.state.in_(_OPEN))
    )
    row = connection.execute(query).first()
    if row is not None and not _has_wheel(connection, row.release):
        connection.execute(delete(file).where(file.c.id == row.id))


def drop_incomplete(connection: Connection, before: datetime) -> int:
    """Delete releases that got a source archive but no wheel and have been left alone since; return how many.

    Args:
        connection: a write transaction.
        before: the newest time at which such a release may have been touched.
    """
    wheels = select(file.c.release).where(file.c.kind == "wheel")
    touched = select(file.c.release).where(file.c.uploaded >= before)
    stale = select(release.c.id).where(
        release.c.state.in_((ReleaseState.SUBMITTED, ReleaseState.CHECKING)),
        release.c.uploaded < before,
        release.c.id.not_in(wheels),
        release.c.id.not_in(touched),
    )
    ids = list(connection.execute(stale).scalars())
    for table in (file, statement, observation, closure):
        connection.execute(delete(table).where(table.c.release.in_(ids)))
    connection.execute(delete(release).where(release.c.id.in_(ids)))
    return len(ids)


def _has_wheel(connection: Connection, release_id: int) -> bool:
    query = select(file.c.id).where(file.c.release == release_id, file.c.kind == "wheel").limit(1)
    return connection.execute(query).first() is not None


def _upsert_publisher(connection: Connection, who: Principal) -> None:
    known = connection.execute(select(publisher.c.name).where(publisher.c.uuid == who.publisher)).scalar()
    if known is None:
        row = {"uuid": who.publisher, "name": who.name, "identity": who.identity, "issuer": who.issuer}
        connection.execute(insert(publisher).values(row))
    elif known != who.name and who.name != who.publisher:
        connection.execute(update(publisher).where(publisher.c.uuid == who.publisher).values(name=who.name))


def _claim(connection: Connection, who: Principal, name: str) -> str:
    row = connection.execute(select(project).where(project.c.name == name)).first()
    if row is None:
        _check_similar(connection, who, name)
        uuid = str(uuid4())
        connection.execute(insert(project).values(uuid=uuid, name=name, publisher=who.publisher))
        return uuid
    if row.publisher != who.publisher:
        raise GateError(
            "name-owned",
            f"{name} belongs to another publisher",
            remedy="Choose another name, or ask its publisher to transfer it",
            status=HTTPStatus.FORBIDDEN,
        )
    rows = connection.execute(select(takedown.c.versions).where(takedown.c.project == name))
    if any("*" in row.versions for row in rows):
        raise GateError("taken-down", f"{name} was taken down", status=HTTPStatus.FORBIDDEN)
    return str(row.uuid)


def _check_similar(connection: Connection, who: Principal, name: str) -> None:
    """Names that a reader cannot tell apart belong to one publisher."""
    skeleton = name.translate(_LOOK_ALIKE)
    for row in connection.execute(select(project.c.name).where(project.c.publisher != who.publisher)):
        if row.name.translate(_LOOK_ALIKE) == skeleton:
            raise GateError("name-similar", f"{name} looks like {row.name} of another publisher")


def _release(connection: Connection, project_uuid: str, upload: VerifiedFile) -> int:
    identity = upload.identity
    query = select(release).where(release.c.project == project_uuid, release.c.version == identity.version)
    row = connection.execute(query).first()
    values = {"core_metadata": upload.core_metadata, "manifest": upload.manifest}
    if row is None:
        row_id = connection.execute(
            insert(release)
            .values(project=project_uuid, version=identity.version, state=ReleaseState.SUBMITTED, **values)
            .returning(release.c.id)
        ).scalar_one()
        return int(row_id)
    if row.state not in _OPEN:
        raise _exists(f"{identity.project} {identity.version} is {row.state} and takes no further files")
    is_wheel = identity.kind == "wheel"
    if is_wheel and row.manifest and row.manifest != upload.manifest:
        raise GateError(
            "manifest-invalid", f"{upload.filename} has another plugin.toml than its sibling wheel"
        )
    if is_wheel or not _has_wheel(connection, row.id):
        connection.execute(update(release).where(release.c.id == row.id).values(values))
    return int(row.id)


def _insert_file(connection: Connection, release_id: int, upload: VerifiedFile, relpath: str) -> None:
    row = {
        "release": release_id,
        "filename": upload.filename,
        "kind": upload.identity.kind,
        "sha256": upload.sha256,
        "metadata_sha256": upload.metadata_sha256,
        "size": len(upload.content),
        "relpath": relpath,
        "attestations": upload.attestations,
    }
    connection.execute(insert(file).values(row))


def _exists(message: str) -> GateError:
    return GateError(
        "version-exists",
        message,
        remedy="Raise the version number and build again",
        status=HTTPStatus.CONFLICT,
    )
