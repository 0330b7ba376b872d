"""Reviewers' keys, decisions and takedowns: what a person signs, and how the index checks it.

The signature is the only authority: whoever carries a decision here, and the site above all, can approve
nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from envcli_policy.statements import (
    DECISION,
    TEST_RESULT,
    KeyRole,
    PinnedKey,
    Statement,
    Subject,
    VerifiedStatement,
    canonical_envelope,
    parse_statement,
    sign_statement,
    verify_statement,
)
from envcli_policy.strict_json import parse_time
from envcli_policy.vetting import ReleaseState
from securesystemslib.signer import Signer  # type: ignore[attr-defined]
from sqlalchemy import Connection, Engine, insert, select

from envcli_index import database as db
from envcli_index import queue
from envcli_index.config import IndexConfig
from envcli_index.database import read, utc_now, write
from envcli_index.enrolment import KEYID_SHOWN, reviewer_ring
from envcli_index.errors import IndexServiceError
from envcli_index.releases import (
    Release,
    StoredStatement,
    add_statement,
    find_release,
    save_envelope,
    statements_of,
)

MAX_REASON = 4_000
MAX_NAME = 120
MAX_ADVISORY = 80
MAX_VERSIONS = 1_000
CLOCK_TOLERANCE = timedelta(minutes=5)
DECISION_ROLES = (KeyRole.REVIEWER,)
TAKEDOWN_ROLES = (KeyRole.REVIEWER, KeyRole.ADMIN)
SEVERITIES = ("low", "medium", "high", "critical")
DECIDABLE = frozenset(
    {
        ReleaseState.CHECKING,
        ReleaseState.AUTO_APPROVED,
        ReleaseState.NEEDS_HUMAN,
        ReleaseState.APPROVED,
    }
)


class DecisionError(IndexServiceError):
    """A decision or takedown is malformed, about something else, or not by an enrolled key."""


@dataclass(frozen=True)
class Takedown:
    """A signed order to take releases out of users' hands.

    Attributes:
        project: normalized name.
        versions: versions, or ``("*",)`` for all.
        sha256: digests of the files.
        reason: shown to users.
        severity: ``low`` to ``critical``.
        advisory: id of an advisory, if there is one.
        remove: for good; otherwise quarantine.
        issued: when it was signed.
    """

    project: str
    versions: tuple[str, ...]
    sha256: tuple[str, ...]
    reason: str
    severity: str
    advisory: str | None
    remove: bool
    issued: datetime


def timestamp(moment: datetime) -> str:
    """Return a time as RFC 3339 in UTC with whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def sign_decision(
    record: Mapping[str, Any], *, approve: bool, reason: str, rules: Sequence[str], signer: Signer
) -> bytes:
    """Sign a decision over every file of a release.

    Args:
        record: the release's vetting record as the index publishes it.
        approve: or reject.
        reason: why; kept with the release and shown to the publisher.
        rules: ids of the observations' rules that the reviewer judged.
        signer: the reviewer's key.

    Raises:
        DecisionError: the release was not vetted yet.
    """
    predicate = {
        "decision": "approve" if approve else "reject",
        "vetting": _vetting_of(record),
        "project": record["project"],
        "version": record["version"],
        "reason": reason,
        "rules": list(rules),
        "time": timestamp(utc_now()),
    }
    return sign_statement(Statement(DECISION, _subjects(record["files"]), predicate), signer)


def _vetting_of(record: Mapping[str, Any]) -> str:
    """Return the digest of the vetting statement: a decision is about this evidence and no later one."""
    listed = [one["sha256"] for one in record["statements"] if one["predicateType"] == TEST_RESULT]
    if not listed:
        raise DecisionError(
            f"{record['project']} {record['version']} was not checked yet", remedy="Wait for the checks"
        )
    return str(listed[-1])


def sign_takedown(
    records: Sequence[Mapping[str, Any]],
    *,
    versions: Sequence[str],
    reason: str,
    severity: str,
    advisory: str | None,
    remove: bool,
    signer: Signer,
) -> bytes:
    """Sign the order to take releases down.

    Args:
        records: vetting records of the releases, of one project.
        versions: versions, or ``*`` alone for every one, future ones included.
        reason: shown to users.
        severity: one of ``SEVERITIES``.
        advisory: id of an advisory or ``None``.
        remove: for good; otherwise quarantine until it is looked into.
        signer: the reviewer's key.
    """
    predicate = {
        "decision": "remove" if remove else "quarantine",
        "project": records[0]["project"],
        "versions": list(versions),
        "reason": reason,
        "severity": severity,
        "advisory": advisory,
        "time": timestamp(utc_now()),
    }
    files = [file for record in records for file in record["files"]]
    return sign_statement(Statement(DECISION, _subjects(files), predicate), signer)


def _subjects(files: Sequence[Mapping[str, Any]]) -> tuple[Subject, ...]:
    return tuple(Subject(file["filename"], file["sha256"]) for file in files)


def accept_decision(engine: Engine, config: IndexConfig, envelope: bytes) -> Release:
    """Check a decision and keep it; the gate acts on it.

    Args:
        engine: the database.
        config: the index.
        envelope: the DSSE envelope.

    Raises:
        PolicyError: the envelope is malformed or not signed by an enrolled key.
        DecisionError: it is no decision, not about exactly the release's files and their vetting, older than what the
            same reviewer decided, or by somebody of the publisher itself.
        UnknownReleaseError: the release does not exist.
    """
    envelope = canonical_envelope(envelope)
    verified, who = _verify(engine, envelope, DECISION_ROLES)
    predicate = verified.statement.predicate
    if predicate.get("decision") not in {"approve", "reject"}:
        raise DecisionError("the statement is no decision to approve or reject")
    project, version = _text(predicate, "project", MAX_NAME), _text(predicate, "version", MAX_NAME)
    name = f"decision-{who.keyid[:KEYID_SHOWN]}"
    with write(engine) as connection:
        found = find_release(connection, project, version)
        kept = statements_of(connection, found.id)
        _check_decidable(found, who)
        _check_evidence(found, kept, verified.statement)
        _check_order(config, [one for one in kept if one.name == name], predicate)
        save_envelope(config.statements, verified.sha256, envelope)
        add_statement(connection, found.id, name, DECISION, verified.sha256, who.keyid)
        queue.enqueue(connection, "gate", {"release": found.id}, f"release-{found.id}")
    return found


def _check_decidable(release: Release, who: PinnedKey) -> None:
    if release.state not in DECIDABLE:
        raise DecisionError(f"{release.label} is {release.state}: there is nothing to decide")
    if release.publisher.uuid in who.publishers:
        raise DecisionError(
            f"{who.name} belongs to the publisher of {release.label}", remedy="Ask another reviewer"
        )


def _check_evidence(release: Release, kept: Sequence[StoredStatement], decision: Statement) -> None:
    vetting = {one.sha256 for one in kept if one.predicate_type == TEST_RESULT}
    if (
        set(decision.subjects) != set(release.all_subjects)
        or decision.predicate.get("vetting") not in vetting
    ):
        raise DecisionError(
            f"the decision is not about the files and the vetting that {release.label} has now",
            remedy="Look at the release again and decide again",
        )


def _check_order(
    config: IndexConfig, earlier: Sequence[StoredStatement], predicate: Mapping[str, Any]
) -> None:
    """Whoever kept an older decision of a reviewer cannot put it in the place of a newer one."""
    for one in earlier:
        old = parse_statement((config.statements / one.sha256).read_bytes())
        if _time(old.predicate) > _time(predicate):
            raise DecisionError("the same reviewer has decided since", remedy="Decide again")


def accept_takedown(engine: Engine, config: IndexConfig, envelope: bytes) -> str:
    """Check a takedown, keep it and wake the gate; return its id.

    Raises:
        PolicyError: the envelope is malformed or not signed by an enrolled key.
        DecisionError: it is no takedown.
    """
    envelope = canonical_envelope(envelope)
    verified, _ = _verify(engine, envelope, TAKEDOWN_ROLES)
    order = parse_takedown(verified.statement)
    takedown_id = f"ENVCLI-TD-{verified.sha256[:16]}"
    save_envelope(config.statements, verified.sha256, envelope)
    with write(engine) as connection:
        known = select(db.takedown.c.id).where(db.takedown.c.id == takedown_id)
        if connection.execute(known).first() is None:
            _insert_takedown(connection, takedown_id, order, verified)
        queue.enqueue(connection, "takedown", {"takedown": takedown_id}, takedown_id)
    return takedown_id


def _insert_takedown(
    connection: Connection, takedown_id: str, order: Takedown, verified: VerifiedStatement
) -> None:
    row = {
        "id": takedown_id,
        "project": order.project,
        "versions": list(order.versions),
        "sha256": list(order.sha256),
        "reason": order.reason,
        "severity": order.severity,
        "advisory": order.advisory,
        "issued": order.issued,
        "keyid": verified.functionary.identity,
        "envelope_sha256": verified.sha256,
    }
    connection.execute(insert(db.takedown).values(row))


def parse_takedown(statement: Statement) -> Takedown:
    """Read the takedown in a verified statement, within what hosts accept in ``takedowns.json``.

    Raises:
        DecisionError: it is something else or incomplete.
        MalformedError: its time is none.
    """
    predicate = statement.predicate
    versions, severity = predicate.get("versions"), predicate.get("severity")
    if predicate.get("decision") not in {"quarantine", "remove"} or severity not in SEVERITIES:
        raise DecisionError("the statement is no takedown")
    if not isinstance(versions, list) or not 0 < len(versions) <= MAX_VERSIONS:
        raise DecisionError("the takedown names no versions, or too many")
    if not all(isinstance(one, str) and 0 < len(one) <= MAX_NAME for one in versions):
        raise DecisionError("the takedown names something that is no version")
    return Takedown(
        project=_text(predicate, "project", MAX_NAME),
        versions=tuple(versions),
        sha256=tuple(subject.sha256 for subject in statement.subjects),
        reason=_text(predicate, "reason"),
        severity=severity,
        advisory=_text(predicate, "advisory", MAX_ADVISORY) if predicate.get("advisory") else None,
        remove=predicate["decision"] == "remove",
        issued=_time(predicate),
    )


def _verify(engine: Engine, envelope: bytes, roles: Sequence[KeyRole]) -> tuple[VerifiedStatement, PinnedKey]:
    """Return what an enrolled key signed, and the key; the time in it must lie in the key's life."""
    with read(engine) as connection:
        ring = reviewer_ring(connection)
    verified = verify_statement(envelope, ring, roles, utc_now())
    if verified.statement.predicate_type != DECISION:
        raise DecisionError("the statement is no decision")
    who = next(key for key in ring.keys if key.keyid == verified.functionary.identity)
    signed = _time(verified.statement.predicate)
    if not who.valid_from - CLOCK_TOLERANCE <= signed <= utc_now() + CLOCK_TOLERANCE:
        raise DecisionError(
            f"the statement says it was signed at {timestamp(signed)}, when the key did not count",
            remedy="Compare the clocks, and sign again",
        )
    return verified, who


def _text(predicate: Mapping[str, Any], name: str, limit: int = MAX_REASON) -> str:
    value = predicate.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= limit:
        raise DecisionError(f"the statement's {name} is missing or too long")
    return value


def _time(predicate: Mapping[str, Any]) -> datetime:
    return parse_time(predicate.get("time"), "the statement's time")
