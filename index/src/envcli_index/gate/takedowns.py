"""Takedowns: a reviewer's signed order, carried out everywhere the index can reach."""

from typing import Any

from envcli_policy.statements import KeyRole, verify_statement
from envcli_policy.vetting import Action, ReleaseState
from sqlalchemy import Connection, Row, select, update

from envcli_index import database as db
from envcli_index.database import read, utc_now, write
from envcli_index.events import emit
from envcli_index.gate.context import TAKEDOWNS_TARGET, Gate, as_json
from envcli_index.gate.promotion import release_target, render
from envcli_index.gate.summary import kept_summary
from envcli_index.gate.transitions import move
from envcli_index.releases import Release, load_release, project_releases
from envcli_index.reviewers import Takedown, parse_takedown, timestamp

_SERVED = frozenset({ReleaseState.RELEASED, ReleaseState.YANKED})
_PENDING = frozenset({ReleaseState.NEEDS_HUMAN, ReleaseState.APPROVED})


def carry_out(gate: Gate, takedown_id: str) -> None:
    """Carry out a takedown: states, trust metadata, event, pages and files; can be repeated.

    Args:
        gate: the gate's means.
        takedown_id: from ``reviewers.accept_takedown``.

    Raises:
        PolicyError: the order is not signed by a key that trust metadata pin.
    """
    with read(gate.engine) as connection:
        row = connection.execute(select(db.takedown).where(db.takedown.c.id == takedown_id)).one()
    roles = (KeyRole.REVIEWER, KeyRole.ADMIN)
    verified = verify_statement(gate.envelope(row.envelope_sha256), gate.keys(), roles, utc_now())
    order, by = parse_takedown(verified.statement), verified.functionary.name
    with write(gate.engine) as connection:
        affected = [one for one in project_releases(connection, order.project) if _concerns(order, one)]
        for release in affected:
            _take_down(gate, connection, release, order, by)
        _close_project(connection, order)
        _emit(gate, connection, row)
    _publish(gate, affected)
    render(gate, order.project)
    with write(gate.engine) as connection:
        done = update(db.takedown).where(db.takedown.c.id == takedown_id)
        connection.execute(done.values(published=utc_now()))


def takedowns_document(connection: Connection) -> bytes:
    """Return the TUF target ``takedowns.json``."""
    rows = connection.execute(select(db.takedown).order_by(db.takedown.c.issued, db.takedown.c.id))
    return as_json({"version": 1, "takedowns": [_entry(row) for row in rows]})


def _entry(row: Row[Any]) -> dict[str, Any]:
    return {
        "id": row.id,
        "project": row.project,
        "versions": row.versions,
        "sha256": row.sha256,
        "reason": row.reason,
        "severity": row.severity,
        "issued": timestamp(row.issued),
        "advisory": row.advisory,
    }


def _concerns(order: Takedown, release: Release) -> bool:
    named = bool({"*", release.version} & set(order.versions))
    return named or not {file.sha256 for file in release.files}.isdisjoint(order.sha256)


def _take_down(gate: Gate, connection: Connection, release: Release, order: Takedown, by: str) -> None:
    """Move a release out of users' way; one whose checks still run is stopped before promotion."""
    for action in _way_down(release.state, remove=order.remove):
        move(gate, connection, release, action, order.reason, by)
        release = load_release(connection, release.id)


def _way_down(state: ReleaseState, *, remove: bool) -> tuple[Action, ...]:
    if state in _SERVED:
        return (Action.REMOVE if remove else Action.QUARANTINE,)
    if state is ReleaseState.QUARANTINED and remove:
        return (Action.REMOVE,)
    if state is ReleaseState.AUTO_APPROVED:
        return (Action.REFER, Action.REJECT)
    return (Action.REJECT,) if state in _PENDING else ()


def _close_project(connection: Connection, order: Takedown) -> None:
    if "*" in order.versions:
        named = update(db.project).where(db.project.c.name == order.project)
        connection.execute(named.values(status="quarantined"))


def _emit(gate: Gate, connection: Connection, row: Row[Any]) -> None:
    emit(
        connection,
        gate.signer,
        dedupe=row.id,
        kind="takedown.published/1",
        subject=row.project,
        data=_entry(row),
    )


def _publish(gate: Gate, affected: list[Release]) -> None:
    """Put the takedown and the new state of every release into trust metadata, in one snapshot."""
    targets: dict[str, bytes] = {}
    with read(gate.engine) as connection:
        targets[TAKEDOWNS_TARGET] = takedowns_document(connection)
        now = [load_release(connection, release.id) for release in affected]
    for release in now:
        vsa = kept_summary(gate, release)
        if vsa is not None and release.promoted is not None:
            targets |= release_target(gate, release, vsa, release.state)
    gate.tuf.publish(targets)
