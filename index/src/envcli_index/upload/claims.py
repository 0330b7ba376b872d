"""What an accepted upload writes into the database: publisher, name claim, release, file and vetting job at
once."""

from collections.abc import Callable
from http import HTTPStatus
from uuid import uuid4

from envcli_policy.vetting import ReleaseState
from sqlalchemy import Connection, insert, select, update

from envcli_index import queue
from envcli_index.database import file, project, publisher, release, takedown
from envcli_index.upload.errors import GateError
from envcli_index.upload.tokens import Principal
from envcli_index.upload.verification import VerifiedFile

VETTING_DELAY_SECONDS = 0.5  # twine sends wheel and source archive one after the other
_OPEN = frozenset(
    {ReleaseState.SUBMITTED, ReleaseState.CHECKING, ReleaseState.AUTO_APPROVED, ReleaseState.NEEDS_HUMAN}
)
_LOOK_ALIKE = str.maketrans({"0": "o", "1": "l", "i": "l", "-": None})


def record_upload(
    connection: Connection, who: Principal, upload: VerifiedFile, store: Callable[[], str]
) -> bool:
    """Claim the name if it is new and add release, file and jobs.

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
    payload = {"release": release_id}
    queue.enqueue(connection, "vet", payload, f"release-{release_id}", delay=VETTING_DELAY_SECONDS)
    queue.enqueue(connection, "gate", payload, f"release-{release_id}")
    return True


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
    if identity.kind == "wheel":
        if row.manifest and row.manifest != upload.manifest:
            raise GateError(
                "manifest-invalid", f"{upload.filename} has another plugin.toml than its sibling wheel"
            )
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
