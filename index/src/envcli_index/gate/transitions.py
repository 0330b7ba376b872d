"""Moves releases from state to state; every move is a signed statement and an event, in one transaction."""

import hashlib
from typing import Any

from envcli_policy.statements import TRANSITION, Statement, sign_statement
from envcli_policy.vetting import Action, ReleaseState, advance
from sqlalchemy import Connection, func, select, update

from envcli_index import database as db
from envcli_index.database import utc_now
from envcli_index.events import emit
from envcli_index.gate.context import Gate
from envcli_index.releases import Release, add_statement, save_envelope
from envcli_index.reviewers import timestamp

GATE = "gate"


def move(
    gate: Gate, connection: Connection, release: Release, action: Action, reason: str, by: str = GATE
) -> ReleaseState:
    """Apply an action to a release within the caller's write transaction.

    Args:
        gate: signs.
        connection: from ``database.write``.
        release: as it was read; when its state changed meanwhile, nothing happens.
        action: what is done.
        reason: why, for publisher and reviewer.
        by: who asked for it: ``gate``, ``vetting`` or a reviewer's name.

    Returns:
        The state that the release has now.

    Raises:
        TransitionError: the release's state has no such edge.
    """
    target = advance(release.state, action)
    moment = utc_now()
    values: dict[str, Any] = {"state": str(target), "reason": reason, "changed": moment}
    if action is Action.PROMOTE:
        values["promoted"] = moment
    where = (db.release.c.id == release.id, db.release.c.state == str(release.state))
    if connection.execute(update(db.release).where(*where).values(values)).rowcount != 1:
        current = select(db.release.c.state).where(db.release.c.id == release.id)
        return ReleaseState(connection.execute(current).scalar_one())
    predicate = {
        "project": release.project,
        "version": release.version,
        "from": str(release.state),
        "to": str(target),
        "action": str(action),
        "reason": reason,
        "by": by,
        "time": timestamp(moment),
    }
    _record(gate, connection, release, predicate)
    return target


def _record(gate: Gate, connection: Connection, release: Release, predicate: dict[str, Any]) -> None:
    """Sign and keep the statement about a move, and tell it in the feed."""
    envelope = sign_statement(Statement(TRANSITION, release.all_subjects, predicate), gate.signer)
    sha256 = hashlib.sha256(envelope).hexdigest()
    save_envelope(gate.config.statements, sha256, envelope)
    number = _next_number(connection, release.id)
    keyid = gate.signer.public_key.keyid
    add_statement(connection, release.id, f"transition-{number}", TRANSITION, sha256, keyid)
    promoted = predicate["action"] == Action.PROMOTE
    emit(
        connection,
        gate.signer,
        dedupe=f"release-{release.id}-{number}",
        kind="release.promoted/1" if promoted else f"release.{predicate['to']}/1",
        subject=f"{release.project}=={release.version}",
        data=predicate
        | {
            "project_uuid": release.project_uuid,
            "publisher": release.publisher.uuid,
            "files": {file.filename: file.sha256 for file in release.files},
            "statement_sha256": sha256,
        },
    )


def _next_number(connection: Connection, release_id: int) -> int:
    where = (db.statement.c.release == release_id, db.statement.c.predicate_type == TRANSITION)
    return 1 + int(
        connection.execute(select(func.count()).select_from(db.statement).where(*where)).scalar_one()
    )
