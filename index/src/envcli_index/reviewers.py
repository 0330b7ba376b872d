"""Reviewers' keys, decisions and takedowns: what a person signs, and how the index checks it.

The signature is the only authority: whoever carries a decision here, and the site above all, can approve
nothing.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from envcli_policy.statements import (
    DECISION,
    KeyRing,
    KeyRole,
    PinnedKey,
    Statement,
    Subject,
    VerifiedStatement,
    keyid_of,
    sign_statement,
    verify_statement,
)
from securesystemslib.signer import Signer  # type: ignore[attr-defined]
from sqlalchemy import Connection, Engine, insert, select

from envcli_index import database as db
from envcli_index import queue
from envcli_index.config import IndexConfig
from envcli_index.database import read, utc_now, write
from envcli_index.errors import IndexServiceError
from envcli_index.releases import Release, add_statement, find_release, save_envelope

MAX_REASON = 4_000
DECISION_ROLES = (KeyRole.REVIEWER, KeyRole.ADMIN)
SEVERITIES = ("low", "medium", "high", "critical")


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


def enrol(engine: Engine, name: str, public_pem: str, role: str = KeyRole.REVIEWER) -> str:
    """Accept a person's public key from now on; the gate pins it in trust metadata at its next pass.

    Args:
        engine: the database.
        name: how the person is called in verdicts.
        public_pem: Ed25519 public key.
        role: ``reviewer`` or ``admin``.

    Returns:
        The key id.

    Raises:
        DecisionError: no Ed25519 public key, or the key is enrolled already.
    """
    keyid = _public_key_id(public_pem)
    row = {"keyid": keyid, "name": name, "role": role, "public": public_pem, "valid_from": utc_now()}
    with write(engine) as connection:
        if connection.execute(
            select(db.reviewer_key.c.keyid).where(db.reviewer_key.c.keyid == keyid)
        ).first():
            raise DecisionError(f"the key {keyid[:16]} is enrolled already")
        connection.execute(insert(db.reviewer_key).values(row))
        queue.enqueue(connection, "publish-keys", {}, "publish-keys")
    return keyid


def _public_key_id(public_pem: str) -> str:
    try:
        key = load_pem_public_key(public_pem.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise DecisionError(
            "the file holds no public key in PEM", remedy="Give the .pub file of the reviewer"
        ) from error
    if not isinstance(key, Ed25519PublicKey):
        raise DecisionError("the key is no Ed25519 key", remedy="Make one with envcli-index reviewer keygen")
    return keyid_of(key)


def enrolled_keys(connection: Connection) -> list[dict[str, Any]]:
    """Return every enrolled key as entries of ``trust/keys.json``."""
    rows = connection.execute(select(db.reviewer_key).order_by(db.reviewer_key.c.keyid))
    return [
        {
            "keyid": row.keyid,
            "scheme": "ed25519",
            "public": row.public,
            "role": row.role,
            "name": row.name,
            "valid_from": timestamp(row.valid_from),
            "valid_until": timestamp(row.valid_until) if row.valid_until else None,
        }
        for row in rows
    ]


def reviewer_ring(connection: Connection) -> KeyRing:
    """Return the enrolled keys as a key ring."""
    rows = connection.execute(select(db.reviewer_key))
    return KeyRing(
        tuple(
            PinnedKey(row.keyid, row.public, KeyRole(row.role), row.name, row.valid_from, row.valid_until)
            for row in rows
        )
    )


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
    """
    predicate = {
        "decision": "approve" if approve else "reject",
        "project": record["project"],
        "version": record["version"],
        "reason": reason,
        "rules": list(rules),
        "time": timestamp(utc_now()),
    }
    return sign_statement(Statement(DECISION, _subjects(record["files"]), predicate), signer)


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
        DecisionError: it is no decision, or not about exactly the release's files.
        UnknownReleaseError: the release does not exist.
    """
    verified, predicate = _verify(engine, envelope)
    if predicate.get("decision") not in {"approve", "reject"}:
        raise DecisionError("the statement is no decision to approve or reject")
    with read(engine) as connection:
        found = find_release(connection, _text(predicate, "project"), _text(predicate, "version"))
    if set(verified.statement.subjects) != set(found.all_subjects):
        raise DecisionError(
            f"the decision is not about the files that {found.label} has now",
            remedy="Look at the release again and decide again",
        )
    keyid = verified.functionary.identity
    save_envelope(config.statements, verified.sha256, envelope)
    with write(engine) as connection:
        name = f"decision-{keyid[:8]}"
        add_statement(connection, found.id, name, DECISION, verified.sha256, keyid)
        queue.enqueue(connection, "gate", {"release": found.id}, f"release-{found.id}")
    return found


def accept_takedown(engine: Engine, config: IndexConfig, envelope: bytes) -> str:
    """Check a takedown, keep it and wake the gate; return its id.

    Raises:
        PolicyError: the envelope is malformed or not signed by an enrolled key.
        DecisionError: it is no takedown.
    """
    verified, _ = _verify(engine, envelope)
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
    """Read the takedown in a verified statement.

    Raises:
        DecisionError: it is something else or incomplete.
    """
    predicate = statement.predicate
    versions, severity = predicate.get("versions"), predicate.get("severity")
    if predicate.get("decision") not in {"quarantine", "remove"} or severity not in SEVERITIES:
        raise DecisionError("the statement is no takedown")
    if not isinstance(versions, list) or not versions or not all(isinstance(one, str) for one in versions):
        raise DecisionError("the takedown names no versions")
    advisory = predicate.get("advisory")
    return Takedown(
        project=_text(predicate, "project"),
        versions=tuple(versions),
        sha256=tuple(subject.sha256 for subject in statement.subjects),
        reason=_text(predicate, "reason"),
        severity=severity,
        advisory=advisory if isinstance(advisory, str) else None,
        remove=predicate["decision"] == "remove",
        issued=datetime.fromisoformat(_text(predicate, "time")),
    )


def _verify(engine: Engine, envelope: bytes) -> tuple[VerifiedStatement, Mapping[str, Any]]:
    with read(engine) as connection:
        ring = reviewer_ring(connection)
    verified = verify_statement(envelope, ring, DECISION_ROLES, utc_now())
    if verified.statement.predicate_type != DECISION:
        raise DecisionError("the statement is no decision")
    return verified, verified.statement.predicate


def _text(predicate: Mapping[str, Any], name: str) -> str:
    value = predicate.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= MAX_REASON:
        raise DecisionError(f"the statement's {name} is missing or too long")
    return value


def envelope_digest(envelope: bytes) -> str:
    """Return the SHA-256 of an envelope in hexadecimal."""
    return hashlib.sha256(envelope).hexdigest()


def keys_document(entries: Sequence[Mapping[str, Any]]) -> bytes:
    """Return the TUF target ``trust/keys.json``."""
    return json.dumps({"version": 1, "keys": list(entries)}, sort_keys=True).encode()
