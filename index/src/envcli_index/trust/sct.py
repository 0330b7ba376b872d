"""Signed certificate timestamps: the structures of RFC 6962 sections 3.1 to 3.5 for precertificates."""

import base64
import struct
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from envcli_index.trust.certificates import POISON_OID, SCT_LIST_OID
from envcli_index.trust.errors import EntryError, LogUnavailableError
from envcli_index.trust.keys import key_id

_V1 = 0
_CERTIFICATE_TIMESTAMP = 0
_TREE_HASH = 1
_PRECERT_ENTRY = 1
_SHA256_ECDSA = b"\x04\x03"


@dataclass(frozen=True)
class SignedTimestamp:
    """One SCT of version 1: the log's key id, the time in milliseconds and an ECDSA signature."""

    log_id: bytes
    timestamp: int
    signature: bytes

    def to_json(self) -> dict[str, Any]:
        """Return the answer of ``add-pre-chain`` (RFC 6962 section 4.2)."""
        return {
            "sct_version": _V1,
            "id": base64.b64encode(self.log_id).decode(),
            "timestamp": self.timestamp,
            "extensions": "",
            "signature": base64.b64encode(signed_struct(self.signature)).decode(),
        }

    @classmethod
    def from_json(cls, answer: Any) -> "SignedTimestamp":
        """Parse the answer of ``add-pre-chain``.

        Raises:
            LogUnavailableError: it is no version 1 SCT signed with ECDSA and SHA-256.
        """
        try:
            version, extensions = answer["sct_version"], answer["extensions"]
            signature = base64.b64decode(answer["signature"], validate=True)
            sct = cls(base64.b64decode(answer["id"], validate=True), int(answer["timestamp"]), signature[4:])
        except (KeyError, TypeError, ValueError) as error:
            raise LogUnavailableError(f"the log answered with no certificate timestamp ({error})") from error
        if version != _V1 or extensions or signature[:2] != _SHA256_ECDSA:
            raise LogUnavailableError("the log's certificate timestamp has an unknown version or algorithm")
        return sct

    def to_list(self) -> bytes:
        """Return the SignedCertificateTimestampList that holds this SCT alone (RFC 6962 section 3.3)."""
        sct = struct.pack(">B32sQH", _V1, self.log_id, self.timestamp, 0) + signed_struct(self.signature)
        entry = struct.pack(">H", len(sct)) + sct
        return struct.pack(">H", len(entry)) + entry

    def verify(self, key: ec.EllipticCurvePublicKey, issuer: x509.Certificate, tbs: bytes) -> None:
        """Check that the log promised to include this very certificate.

        Args:
            key: the log's key.
            issuer: the certificate of the authority.
            tbs: the to-be-signed part without poison and SCT list.

        Raises:
            LogUnavailableError: another log or another certificate was signed.
        """
        entry = timestamped_entry(issuer, tbs, self.timestamp)
        try:
            key.verify(self.signature, entry, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature as error:
            raise LogUnavailableError("the log's signed certificate timestamp does not verify") from error
        if self.log_id != key_id(key):
            raise LogUnavailableError("the signed certificate timestamp names another log")


def timestamped_entry(issuer: x509.Certificate, tbs: bytes, timestamp: int) -> bytes:
    """Return the MerkleTreeLeaf of a precertificate, which is also what its SCT signs (RFC 6962 sections
    3.2, 3.4).

    Args:
        issuer: the certificate of the authority.
        tbs: the to-be-signed part without poison and SCT list.
        timestamp: milliseconds since the epoch.
    """
    head = struct.pack(">BBQH", _V1, _CERTIFICATE_TIMESTAMP, timestamp, _PRECERT_ENTRY)
    return head + key_id(issuer.public_key()) + opaque24(tbs) + b"\x00\x00"


def tree_head(size: int, root: bytes, timestamp: int) -> bytes:
    """Return what a signed tree head signs (RFC 6962 section 3.5)."""
    return struct.pack(">BBQQ32s", _V1, _TREE_HASH, timestamp, size, root)


def signed_struct(signature: bytes) -> bytes:
    """Return an ECDSA signature over SHA-256 as a DigitallySigned (RFC 5246 section 4.7)."""
    return _SHA256_ECDSA + struct.pack(">H", len(signature)) + signature


def opaque24(data: bytes) -> bytes:
    """Return ``data`` behind its length in three bytes."""
    return len(data).to_bytes(3, "big") + data


def tbs_without_poison(precertificate: x509.Certificate) -> bytes:
    """Return the to-be-signed part of a precertificate without its poison.

    The certificate is built again from its parsed fields and signed by a key that is thrown away: only the
    part that was to be signed is used. The authority compares it with what it signs itself, so a difference
    cannot go unnoticed.

    Raises:
        EntryError: there is no poison, or there is an SCT list already.
    """
    extensions = list(precertificate.extensions)
    oids = {extension.oid for extension in extensions}
    if POISON_OID not in oids or SCT_LIST_OID in oids:
        raise EntryError("the certificate is no precertificate; add the critical poison extension")
    builder = (
        x509.CertificateBuilder()
        .subject_name(precertificate.subject)
        .issuer_name(precertificate.issuer)
        .public_key(_ecdsa_key(precertificate))
        .serial_number(precertificate.serial_number)
        .not_valid_before(precertificate.not_valid_before_utc)
        .not_valid_after(precertificate.not_valid_after_utc)
    )
    for extension in extensions:
        if extension.oid != POISON_OID:
            raw = x509.UnrecognizedExtension(extension.oid, extension.value.public_bytes())
            builder = builder.add_extension(raw, extension.critical)
    return builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256()).tbs_certificate_bytes


def _ecdsa_key(certificate: x509.Certificate) -> ec.EllipticCurvePublicKey:
    public = certificate.public_key()
    if not isinstance(public, ec.EllipticCurvePublicKey):
        raise EntryError("the certificate's key is not ECDSA; use P-256")
    return public
