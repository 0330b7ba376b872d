"""Signed statements: in-toto Statement v1 inside a DSSE envelope, by keys that trust metadata pins.

Bots, the gate and reviewers sign with long-lived Ed25519 keys. Their public halves travel in the TUF target
``trust/keys.json``; what a key may sign follows from its role there, never from the envelope.

Sources: https://github.com/secure-systems-lab/dsse (envelope and pre-authentication encoding),
https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md (statement).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import Signer, SSlibKey  # type: ignore[attr-defined]

from envcli_policy.errors import MalformedError, PolicyError
from envcli_policy.strict_json import Fields, check_sha256, parse_json

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
MAX_ENVELOPE_BYTES = 8 * 1024 * 1024
MAX_KEYS_BYTES = 1024 * 1024
MAX_SUBJECTS = 1000

VSA = "https://slsa.dev/verification_summary/v1"
TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"
VULNS = "https://in-toto.io/attestation/vulns/v0.2"
CAPABILITY = "https://envcli.dev/attestation/capability/v1"
DECISION = "https://envcli.dev/attestation/decision/v1"
TRANSITION = "https://envcli.dev/attestation/transition/v1"


class SignatureError(PolicyError):
    """No signature of the envelope was made by a key that trust metadata pins for this role and time."""

    rule = "signature-invalid"


class KeyRole(StrEnum):
    """What a pinned key may sign."""

    GATE = "gate"
    VETTING = "vetting"
    REVIEWER = "reviewer"
    ADMIN = "admin"


class PredicateKind(StrEnum):
    """Short names of the predicate types, as layouts write them."""

    PUBLISH = "publish"
    PROVENANCE = "provenance"
    VSA = "vsa"
    TEST_RESULT = "test-result"
    VULNS = "vulns"
    CAPABILITY = "capability"
    DECISION = "decision"
    TRANSITION = "transition"


KINDS: Mapping[str, PredicateKind] = {
    VSA: PredicateKind.VSA,
    TEST_RESULT: PredicateKind.TEST_RESULT,
    VULNS: PredicateKind.VULNS,
    CAPABILITY: PredicateKind.CAPABILITY,
    DECISION: PredicateKind.DECISION,
    TRANSITION: PredicateKind.TRANSITION,
}


@dataclass(frozen=True, slots=True)
class Subject:
    """One file that a statement speaks about: its name and lower-case hexadecimal SHA-256."""

    name: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Statement:
    """An in-toto statement: predicate type (URI), the subjects it is about, and the predicate (JSON
    object).
    """

    predicate_type: str
    subjects: tuple[Subject, ...]
    predicate: Mapping[str, Any]

    def to_json(self) -> bytes:
        """The statement as compact JSON with sorted keys: the bytes that are signed."""
        document = {
            "_type": STATEMENT_TYPE,
            "subject": [{"name": s.name, "digest": {"sha256": s.sha256}} for s in self.subjects],
            "predicateType": self.predicate_type,
            "predicate": dict(self.predicate),
        }
        return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


@dataclass(frozen=True, slots=True)
class PinnedKey:
    """One entry of ``trust/keys.json``. The key counts from `valid_from` up to, not including,
    `valid_until`. `publishers` are the uuids of the publishers that its holder belongs to.
    """

    keyid: str
    public: str
    role: KeyRole
    name: str
    valid_from: datetime
    valid_until: datetime | None = None
    publishers: tuple[str, ...] = ()

    def is_valid_at(self, at: datetime) -> bool:
        """Whether the key counts at this time."""
        return self.valid_from <= at and (self.valid_until is None or at < self.valid_until)


@dataclass(frozen=True, slots=True)
class Functionary:
    """Who performed a step: `identity` is a key id or a certificate's identity URI, `issuer` empty for
    keys. `publishers` are the uuids of the publishers that the same person acts for.
    """

    role: str
    name: str
    identity: str
    issuer: str = ""
    publishers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class VerifiedStatement:
    """A statement whose signature was verified, with who made it and the SHA-256 of the signed bytes."""

    kind: PredicateKind
    statement: Statement
    functionary: Functionary
    sha256: str


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The pinned keys of one index."""

    keys: tuple[PinnedKey, ...]

    @classmethod
    def from_json(cls, data: bytes) -> KeyRing:
        """Parse ``trust/keys.json``.

        Raises:
            MalformedError: Not the documented shape, an unknown role or scheme, a key id that is not the
                SHA-256 of the key's SubjectPublicKeyInfo, or one key id twice.
        """
        document = Fields(parse_json(data, limit=MAX_KEYS_BYTES, what="key list"), "key list")
        document.only("version", "keys").integer("version", low=1, high=1)
        keys = tuple(_parse_key(entry) for entry in document.objects("keys", limit=1000))
        if len({key.keyid for key in keys}) != len(keys):
            raise MalformedError("key list: one key id stands twice, so its role would be ambiguous")
        return cls(keys)

    def select(self, role: str, at: datetime) -> tuple[PinnedKey, ...]:
        """The keys that may sign for `role` at this time."""
        return tuple(key for key in self.keys if key.role == role and key.is_valid_at(at))


def sign_statement(statement: Statement, signer: Signer) -> bytes:
    """Sign a statement.

    Args:
        statement: What is asserted.
        signer: A securesystemslib signer, usually `CryptoSigner` over an Ed25519 key whose key id is the
            SHA-256 of its SubjectPublicKeyInfo.

    Returns:
        The DSSE envelope as JSON bytes with one signature.
    """
    envelope = Envelope(statement.to_json(), PAYLOAD_TYPE, {})
    envelope.sign(signer)
    return json.dumps(envelope.to_dict(), sort_keys=True, separators=(",", ":")).encode()


def canonical_envelope(envelope: bytes) -> bytes:
    """Return the one spelling of an envelope that `sign_statement` writes.

    A signature covers the payload, not the JSON around it: without this, everybody who saw an envelope could
    make others with other digests out of it.

    Raises:
        MalformedError: The envelope is not the documented shape.
    """
    return json.dumps(_parse_envelope(envelope).to_dict(), sort_keys=True, separators=(",", ":")).encode()


def parse_statement(envelope: bytes) -> Statement:
    """Read the statement of an envelope **without verifying it**; use only to display or to pick a role.

    Raises:
        MalformedError: The envelope or the statement is not the documented shape.
    """
    return _parse_payload(_parse_envelope(envelope).payload)


def verify_envelope(envelope: bytes, keys: KeyRing, role: str, at: datetime) -> Statement:
    """Verify an envelope and return its statement; see `verify_statement`."""
    return verify_statement(envelope, keys, (role,), at).statement


def verify_statement(envelope: bytes, keys: KeyRing, roles: Iterable[str], at: datetime) -> VerifiedStatement:
    """Verify an envelope and tell who signed it.

    Args:
        envelope: DSSE envelope, JSON.
        keys: Pinned keys.
        roles: Roles of which any may have signed.
        at: The time at which the key must count, with zone.

    Returns:
        The statement, its kind, and the key that signed it.

    Raises:
        MalformedError: The envelope or statement is not the documented shape, or its type is unknown.
        SignatureError: No pinned key of these roles made the signature.
    """
    parsed = _parse_envelope(envelope)
    wanted = tuple(roles)
    for role in wanted:
        for key in keys.select(role, at):
            if key.keyid in parsed.signatures and _is_signed_by(parsed, key):
                statement = _parse_payload(parsed.payload)
                who = Functionary(key.role, key.name, key.keyid, publishers=key.publishers)
                return VerifiedStatement(
                    _kind(statement), statement, who, hashlib.sha256(envelope).hexdigest()
                )
    made_by = ", ".join(keyid[:16] for keyid in parsed.signatures)
    raise SignatureError(
        f"the statement is signed by key {made_by}, "
        f"which is no valid {' or '.join(wanted)} key at {at:%Y-%m-%d %H:%M}",
        remedy="Refresh the trust metadata; if it persists, the statement was not made by this index",
    )


def verify_payload(envelope: bytes, payload_type: str, keys: KeyRing, role: str, at: datetime) -> bytes:
    """Verify an envelope around something else than a statement, such as an event of the feed.

    Args:
        envelope: DSSE envelope, JSON.
        payload_type: What it must hold; covered by the signature.
        keys: Pinned keys.
        role: The role that must have signed.
        at: The time at which the key must count, with zone.

    Returns:
        The payload, whose shape is the caller's business.

    Raises:
        MalformedError: The envelope is not the documented shape, or of another type.
        SignatureError: No pinned key of this role made the signature.
    """
    parsed = _parse_envelope(envelope, payload_type)
    signers = [key for key in keys.select(role, at) if key.keyid in parsed.signatures]
    if not any(_is_signed_by(parsed, key) for key in signers):
        raise SignatureError(f"the envelope of type {payload_type} is signed by no valid {role} key")
    return bytes(parsed.payload)


def keyid_of(key: Ed25519PublicKey) -> str:
    """The key id: hexadecimal SHA-256 of the DER SubjectPublicKeyInfo."""
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()


def _kind(statement: Statement) -> PredicateKind:
    kind = KINDS.get(statement.predicate_type)
    if kind is None:
        raise MalformedError(f"statement: unknown predicate type {statement.predicate_type[:200]!r}")
    return kind


def _is_signed_by(envelope: Envelope, key: PinnedKey) -> bool:
    public = SSlibKey.from_crypto(_load_public(key.public, key.name), keyid=key.keyid, scheme="ed25519")
    try:
        envelope.verify([public], 1)
    except VerificationError:
        return False
    return True


def _parse_key(entry: Fields) -> PinnedKey:
    entry.only("keyid", "scheme", "public", "role", "name", "valid_from", "valid_until", "publishers")
    name = entry.text("name", limit=200)
    if entry.text("scheme", limit=20) != "ed25519":
        raise MalformedError(f"{entry.what}: only the scheme 'ed25519' is known")
    try:
        role = KeyRole(entry.text("role", limit=20))
    except ValueError as error:
        raise MalformedError(f"{entry.what}: the role must be one of {', '.join(KeyRole)}") from error
    keyid, public = entry.sha256("keyid"), entry.text("public", limit=2000)
    if keyid_of(_load_public(public, name)) != keyid:
        raise MalformedError(f"{entry.what}: the key id of {name!r} is not the SHA-256 of its key")
    start, end = entry.time("valid_from"), entry.optional_time("valid_until")
    publishers = entry.texts("publishers", limit=100) if "publishers" in entry else ()
    return PinnedKey(keyid, public, role, name, start, end, publishers)


def _load_public(pem: str, name: str) -> Ed25519PublicKey:
    try:
        key = serialization.load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise MalformedError(f"key list: the key of {name!r} is not a PEM public key") from error
    if not isinstance(key, Ed25519PublicKey):
        raise MalformedError(f"key list: the key of {name!r} is not an Ed25519 key")
    return key


def _parse_envelope(data: bytes, payload_type: str = PAYLOAD_TYPE) -> Envelope:
    fields = Fields(parse_json(data, limit=MAX_ENVELOPE_BYTES, what="envelope"), "envelope")
    fields.only("payload", "payloadType", "signatures")
    if fields.text("payloadType", limit=100) != payload_type:
        raise MalformedError(f"envelope: the payload type must be {payload_type}")
    signatures = fields.objects("signatures", limit=1)
    if len(signatures) != 1:
        raise MalformedError("envelope: exactly one signature is expected")
    entry = signatures[0].only("keyid", "sig")
    signature = {"keyid": entry.sha256("keyid"), "sig": entry.text("sig", limit=200)}
    payload = fields.text("payload", limit=MAX_ENVELOPE_BYTES)
    try:
        return Envelope.from_dict(
            {"payload": payload, "payloadType": payload_type, "signatures": [signature]}
        )
    except ValueError as error:
        raise MalformedError("envelope: payload or signature is not Base64") from error


def _parse_payload(payload: bytes) -> Statement:
    fields = Fields(parse_json(payload, limit=MAX_ENVELOPE_BYTES, what="statement"), "statement")
    fields.only("_type", "subject", "predicateType", "predicate")
    if fields.text("_type", limit=100) != STATEMENT_TYPE:
        raise MalformedError(f"statement: the type must be {STATEMENT_TYPE}")
    subjects = tuple(_parse_subject(entry) for entry in fields.objects("subject", limit=MAX_SUBJECTS))
    if not subjects or len({subject.name for subject in subjects}) != len(subjects):
        raise MalformedError("statement: subjects must be present and their names unique")
    return Statement(fields.text("predicateType", limit=500), subjects, fields.mapping("predicate"))


def _parse_subject(entry: Fields) -> Subject:
    digest = entry.only("name", "digest").mapping("digest")
    return Subject(
        entry.text("name", limit=500), check_sha256(digest.get("sha256"), f"{entry.what}: 'sha256'")
    )
