"""The index' own certificate authority and logs without their servers: keyless signatures made in one process."""

import base64
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from envcli_index.trust import certificates
from envcli_index.trust.client_config import client_config
from envcli_index.trust.ct import CertificateLog
from envcli_index.trust.keys import AUTHORITY_INTERMEDIATE, create_keys, load_ecdsa_key
from envcli_index.trust.log import TransparencyLog
from envcli_policy.attestation import publish_predicate_type
from envcli_policy.statements import PAYLOAD_TYPE, Statement, Subject


@dataclass(frozen=True)
class Settings:
    """Settings of an index whose services are never started."""

    data: Path
    public_url: str = "http://127.0.0.1:1"
    authority_url: str = "http://127.0.0.1:2"
    log_url: str = "http://127.0.0.1:3"
    web_url: str = "https://web.example.org"


class PrivateSigstore:
    """Signs publish attestations as any identity, with certificates and log entries that clients can verify."""

    def __init__(self, data: Path) -> None:
        self.settings = Settings(data)
        create_keys(data / "keys")
        (data / "log").mkdir(exist_ok=True)
        self._authority_key = load_ecdsa_key(data / "keys" / "authority" / "intermediate.pem")
        self._authority = x509.load_pem_x509_certificate(
            (data / "keys" / AUTHORITY_INTERMEDIATE).read_bytes()
        )
        self._log = TransparencyLog(self.settings)
        self._certificates = CertificateLog(self.settings)

    @property
    def trusted_root(self) -> dict[str, Any]:
        """Sigstore trusted root (JSON) by which the signatures verify."""
        root: dict[str, Any] = client_config(self.settings)["trustedRoot"]
        return root

    def provenance(self, filename: str, sha256: str, identity: str, issuer: str) -> bytes:
        """Return the PEP 740 provenance object of one file, signed by ``identity``."""
        attestation = self.attest(filename, sha256, identity, issuer)
        bundle = {"publisher": {"kind": "envcli", "identity": identity}, "attestations": [attestation]}
        return json.dumps({"version": 1, "attestation_bundles": [bundle]}).encode()

    def attest(self, filename: str, sha256: str, identity: str, issuer: str) -> dict[str, Any]:
        """Return one publish attestation (PEP 740 attestation object)."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._certificate(key.public_key(), identity, issuer)
        payload = Statement(publish_predicate_type(), (Subject(filename, sha256),), {}).to_json()
        kind = PAYLOAD_TYPE.encode()
        signature = key.sign(
            b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload), ec.ECDSA(hashes.SHA256())
        )
        return {
            "version": 1,
            "verification_material": {
                "certificate": _base64(certificate.public_bytes(Encoding.DER)),
                "transparency_entries": [self._entry(certificate, payload, signature)],
            },
            "envelope": {"statement": _base64(payload), "signature": _base64(signature)},
        }

    def _certificate(self, public: ec.EllipticCurvePublicKey, identity: str, issuer: str) -> x509.Certificate:
        builder = certificates.leaf_builder(self._authority, public, identity, issuer, datetime.now(UTC))
        poisoned = certificates.poisoned(builder).sign(self._authority_key, hashes.SHA256())
        chain = {"chain": [_base64(poisoned.public_bytes(Encoding.DER))]}
        promise = self._certificates.add(json.dumps(chain).encode())
        return certificates.with_sct_list(builder, promise.to_list()).sign(
            self._authority_key, hashes.SHA256()
        )

    def _entry(self, certificate: x509.Certificate, payload: bytes, signature: bytes) -> dict[str, Any]:
        envelope = {
            "payload": _base64(payload),
            "payloadType": PAYLOAD_TYPE,
            "signatures": [{"sig": _base64(signature)}],
        }
        content = {
            "envelope": json.dumps(envelope),
            "verifiers": [_base64(certificate.public_bytes(Encoding.PEM))],
        }
        proposed = {"kind": "dsse", "apiVersion": "0.0.1", "spec": {"proposedContent": content}}
        (logged,) = self._log.add(json.dumps(proposed).encode()).values()
        proof = logged["verification"]["inclusionProof"]
        return {
            "logIndex": str(logged["logIndex"]),
            "logId": {"keyId": _base64(bytes.fromhex(logged["logID"]))},
            "kindVersion": {"kind": "dsse", "version": "0.0.1"},
            "integratedTime": str(logged["integratedTime"]),
            "inclusionPromise": {"signedEntryTimestamp": logged["verification"]["signedEntryTimestamp"]},
            "inclusionProof": {
                "logIndex": str(proof["logIndex"]),
                "rootHash": _base64(bytes.fromhex(proof["rootHash"])),
                "treeSize": str(proof["treeSize"]),
                "hashes": [_base64(bytes.fromhex(each)) for each in proof["hashes"]],
                "checkpoint": {"envelope": proof["checkpoint"]},
            },
            "canonicalizedBody": logged["body"],
        }


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
