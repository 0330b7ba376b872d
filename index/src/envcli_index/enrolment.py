"""Reviewers' public keys: accepted and retired by the index's administrator, pinned by the gate."""

import json
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from envcli_policy.statements import KeyRing, KeyRole, PinnedKey, keyid_of
from envcli_policy.strict_json import format_time
from sqlalchemy import Connection, Engine, insert, select, update

from envcli_index import database as db
from envcli_index import queue
from envcli_index.database import utc_now, write
from envcli_index.errors import IndexServiceError

KEYID_SHOWN = 8  # hexadecimal digits by which a decision's file is called after its key
ENROLLED_ROLES = frozenset({KeyRole.REVIEWER, KeyRole.ADMIN})


class EnrolmentError(IndexServiceError):
    """A key cannot be enrolled or retired."""


def enrol(
    engine: Engine,
    name: str,
    public_pem: str,
    role: str = KeyRole.REVIEWER,
    publishers: Sequence[str] = (),
) -> str:
    """Accept a person's public key from now on; the gate pins it in trust metadata at its next pass.

    Args:
        engine: the database.
        name: how the person is called in verdicts.
        public_pem: Ed25519 public key.
        role: ``reviewer`` or ``admin``.
        publishers: uuids of the publishers that the person belongs to and so cannot judge.

    Returns:
        The key id.

    Raises:
        EnrolmentError: no Ed25519 public key, no uuid, or the key or one like it is enrolled already.
    """
    keyid = _public_key_id(public_pem)
    row = {
        "keyid": keyid,
        "name": name,
        "role": role,
        "public": public_pem,
        "valid_from": utc_now(),
        "publishers": sorted({_checked_uuid(one) for one in publishers}),
    }
    with write(engine) as connection:
        alike = select(db.reviewer_key.c.keyid).where(
            db.reviewer_key.c.keyid.startswith(keyid[:KEYID_SHOWN], autoescape=True)
        )
        if connection.execute(alike).first():
            raise EnrolmentError(f"the key {keyid[:16]}, or one called alike, is enrolled already")
        connection.execute(insert(db.reviewer_key).values(row))
        queue.enqueue(connection, "publish-keys", {}, "publish-keys")
    return keyid


def retire(engine: Engine, keyid: str) -> None:
    """Accept nothing signed by a key from now on, because it was lost or its holder left.

    Releases that are out stay out: the verdict on them is the gate's. Decisions that the gate has not acted on yet
    count no longer.

    Args:
        engine: the database.
        keyid: from ``enrol``.

    Raises:
        EnrolmentError: no such key is enrolled, or it was retired before.
    """
    held = update(db.reviewer_key).where(
        db.reviewer_key.c.keyid == keyid, db.reviewer_key.c.valid_until.is_(None)
    )
    with write(engine) as connection:
        if connection.execute(held.values(valid_until=utc_now())).rowcount != 1:
            raise EnrolmentError(f"no key {keyid[:16]} is enrolled", remedy="Give the whole key id")
        queue.enqueue(connection, "publish-keys", {}, "publish-keys")


def enrolled_keys(connection: Connection) -> list[dict[str, Any]]:
    """Return every enrolled key as entries of ``trust/keys.json``.

    A row with a role of the index's own processes is left out: nobody enrols those.
    """
    rows = connection.execute(
        select(db.reviewer_key)
        .where(db.reviewer_key.c.role.in_(ENROLLED_ROLES))
        .order_by(db.reviewer_key.c.keyid)
    )
    return [
        {
            "keyid": row.keyid,
            "scheme": "ed25519",
            "public": row.public,
            "role": row.role,
            "name": row.name,
            "valid_from": format_time(row.valid_from),
            "valid_until": format_time(row.valid_until) if row.valid_until else None,
            "publishers": row.publishers,
        }
        for row in rows
    ]


def reviewer_ring(connection: Connection) -> KeyRing:
    """Return the enrolled keys as a key ring."""
    rows = connection.execute(select(db.reviewer_key).where(db.reviewer_key.c.role.in_(ENROLLED_ROLES)))
    return KeyRing(
        tuple(
            PinnedKey(
                row.keyid,
                row.public,
                KeyRole(row.role),
                row.name,
                row.valid_from,
                row.valid_until,
                tuple(row.publishers),
            )
            for row in rows
        )
    )


def retired_keyids(connection: Connection) -> frozenset[str]:
    """Return the ids of retired keys; they count no longer even before trust metadata say so."""
    ended = select(db.reviewer_key.c.keyid).where(db.reviewer_key.c.valid_until.is_not(None))
    return frozenset(connection.execute(ended).scalars())


def keys_document(entries: Sequence[Mapping[str, Any]]) -> bytes:
    """Return the TUF target ``trust/keys.json``."""
    return json.dumps({"version": 1, "keys": list(entries)}, sort_keys=True).encode()


def _checked_uuid(value: str) -> str:
    try:
        return str(UUID(value))
    except ValueError as error:
        raise EnrolmentError(
            f"{value!r} is no publisher's uuid", remedy="It stands in the address of the publisher's page"
        ) from error


def _public_key_id(public_pem: str) -> str:
    try:
        key = load_pem_public_key(public_pem.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise EnrolmentError(
            "the file holds no public key in PEM", remedy="Give the .pub file of the reviewer"
        ) from error
    if not isinstance(key, Ed25519PublicKey):
        raise EnrolmentError("the key is no Ed25519 key", remedy="Make one with envcli-index reviewer keygen")
    return keyid_of(key)
