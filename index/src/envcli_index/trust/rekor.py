"""Entries of the transparency log in the format of Rekor's API version 1.

Two kinds are accepted, each with one certificate of this index's authority: ``hashedrekord`` 0.0.1 (a
signature over the SHA-256 of an artifact) and ``dsse`` 0.0.1 (a signature over an envelope). A signature is
verified before it is logged, and a certificate must be valid at that moment: nobody can fill the log who
has no identity.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import rfc8785
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from envcli_index.trust.errors import EntryError

_SHA256_SIZE = 32


def parse_entry(raw: bytes, authority: x509.Certificate, now: datetime) -> bytes:
    """Return the canonical body (RFC 8785) of a proposed entry whose signatures verify.

    Args:
        raw: the request's body.
        authority: the certificate that must have issued the entry's certificate.
        now: the time at which that certificate must be valid.

    Raises:
        EntryError: the request is malformed, of an unknown kind, or its signature or certificate is not
            acceptable.
    """
    try:
        entry = json.loads(raw)
        canonical = _KINDS[entry["kind"], entry["apiVersion"]]
        spec = canonical(entry["spec"], authority, now)
        return rfc8785.dumps({"apiVersion": entry["apiVersion"], "kind": entry["kind"], "spec": spec})
    except InvalidSignature as error:
        raise EntryError("the entry's signature does not verify against its certificate") from error
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        cause = f"{type(error).__name__}: {error}"
        raise EntryError(f"the entry is malformed or of an unknown kind ({cause})") from error


def _hashedrekord(spec: dict[str, Any], authority: x509.Certificate, now: datetime) -> dict[str, Any]:
    digest, signature = spec["data"]["hash"], spec["signature"]
    if digest["algorithm"] != "sha256":
        raise EntryError("the entry's digest is not SHA-256; sign with SHA-256")
    value = bytes.fromhex(digest["value"])
    if len(value) != _SHA256_SIZE:
        raise EntryError("the entry's digest has not the size of SHA-256")
    key = _verifier_key(signature["publicKey"]["content"], authority, now)
    key.verify(_decoded(signature["content"]), value, ec.ECDSA(Prehashed(hashes.SHA256())))
    return {
        "data": {"hash": {"algorithm": "sha256", "value": value.hex()}},
        "signature": {
            "content": signature["content"],
            "publicKey": {"content": signature["publicKey"]["content"]},
        },
    }


def _dsse(spec: dict[str, Any], authority: x509.Certificate, now: datetime) -> dict[str, Any]:
    raw = spec["proposedContent"]["envelope"]
    (verifier,) = spec["proposedContent"]["verifiers"]
    envelope = json.loads(raw)
    (signature,) = envelope["signatures"]
    payload = _decoded(envelope["payload"])
    key = _verifier_key(verifier, authority, now)
    encoded = _pre_authentication(envelope["payloadType"].encode(), payload)
    key.verify(_decoded(signature["sig"]), encoded, ec.ECDSA(hashes.SHA256()))
    return {
        "envelopeHash": {"algorithm": "sha256", "value": hashlib.sha256(raw.encode()).hexdigest()},
        "payloadHash": {"algorithm": "sha256", "value": hashlib.sha256(payload).hexdigest()},
        "signatures": [{"signature": signature["sig"], "verifier": verifier}],
    }


_KINDS: dict[tuple[str, str], Callable[[dict[str, Any], x509.Certificate, datetime], dict[str, Any]]] = {
    ("hashedrekord", "0.0.1"): _hashedrekord,
    ("dsse", "0.0.1"): _dsse,
}


def _verifier_key(encoded: str, authority: x509.Certificate, now: datetime) -> ec.EllipticCurvePublicKey:
    certificate = x509.load_pem_x509_certificate(_decoded(encoded))
    try:
        certificate.verify_directly_issued_by(authority)
    except (InvalidSignature, ValueError, TypeError) as error:
        raise EntryError("the entry's certificate was not issued by this index's authority") from error
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise EntryError("the entry's certificate is not valid now; sign again")
    public = certificate.public_key()
    if not isinstance(public, ec.EllipticCurvePublicKey):
        raise EntryError("the entry's certificate has no ECDSA key")
    return public


def _pre_authentication(kind: bytes, payload: bytes) -> bytes:
    """Return the DSSE pre-authentication encoding (DSSE protocol 1.0)."""
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise EntryError(f"the entry holds invalid base64 ({error})") from error
