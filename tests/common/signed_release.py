"""One release with every statement that the policy library judges, signed by real keys, and easy to spoil."""

import hashlib
import json
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from envcli_policy.statements import CAPABILITY, VSA, KeyRing, Statement, Subject, keyid_of, sign_statement
from envcli_policy.verifier import FileDigest, ReleaseEvidence, TrustMaterial
from securesystemslib.signer import CryptoSigner, SSlibKey

from common.private_sigstore import PrivateSigstore

NOW = datetime.now(UTC).replace(microsecond=0)
PROJECT, VERSION = "envcli-plugin-sample", "1.0"
WHEEL = "envcli_plugin_sample-1.0-py3-none-any.whl"
DEPENDENCY = "hvac-2.4.0-py3-none-any.whl"
ISSUER = "https://web.example.org"
PUBLISHER = {"uuid": "7a1e", "name": "Acme", "identity": f"{ISSUER}/publishers/7a1e", "issuer": ISSUER}
MANIFEST = 'schema = 1\nid = "sample"\n'


def sha256(data: bytes) -> str:
    """Hexadecimal SHA-256."""
    return hashlib.sha256(data).hexdigest()


def new_signer() -> CryptoSigner:
    """A signer with a fresh Ed25519 key, named as the policy library names keys."""
    private = Ed25519PrivateKey.generate()
    public = private.public_key()
    return CryptoSigner(private, SSlibKey.from_crypto(public, keyid=keyid_of(public)))


def pin(signer: CryptoSigner, role: str, name: str, **changes: Any) -> dict[str, Any]:
    """The entry of a signer in ``trust/keys.json``."""
    private = serialization.load_pem_private_key(signer.private_bytes, None)
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    entry = {"keyid": signer.public_key.keyid, "scheme": "ed25519", "public": public.decode(), "role": role,
             "name": name, "valid_from": "2020-01-01T00:00:00Z", "valid_until": None}  # fmt: skip
    return entry | changes


def key_ring(*entries: dict[str, Any]) -> KeyRing:
    """The ring of these entries, parsed as clients parse it."""
    return KeyRing.from_json(json.dumps({"version": 1, "keys": list(entries)}).encode())


@dataclass
class SignedRelease:
    """Documents in plain form; `evidence` signs and links whatever they say at that moment."""

    sigstore: PrivateSigstore
    gate: CryptoSigner = field(default_factory=new_signer)
    vetting: CryptoSigner = field(default_factory=new_signer)
    wheel_sha256: str = sha256(b"wheel")
    takedowns: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.capability: dict[str, Any] = {
            "manifest": MANIFEST,
            "manifest_sha256": sha256(MANIFEST.encode()),
            "observed": [{"permission": "network:connect", "evidence": [{"path": "a.py", "line": 3}]}],
            "undeclared": [],
            "unused": [],
        }
        dependency = {"name": "hvac", "version": "2.4.0", "filename": DEPENDENCY, "sha256": sha256(b"hvac")}
        self.summary: dict[str, Any] = {
            "verifier": {"id": "https://index.example.org"},
            "timeVerified": (NOW - timedelta(hours=2)).isoformat(),
            "resourceUri": f"pkg:pypi/{PROJECT}@{VERSION}",
            "policy": {"uri": "trust/layout.json", "digest": {"sha256": "0" * 64}},
            "inputAttestations": [],
            "verificationResult": "PASSED",
            "verifiedLevels": ["SLSA_BUILD_LEVEL_0"],
            "envcli": {"project": "p-1", "publisher": deepcopy(PUBLISHER), "closure": [dependency],
                       "capability_sha256": "", "reviewed_by": ["Rae"], "source_archive_sha256": None},
        }  # fmt: skip
        self.target: dict[str, Any] = {"project": PROJECT, "project_uuid": "p-1", "version": VERSION,
                                       "publisher": deepcopy(PUBLISHER), "files": {WHEEL: self.wheel_sha256},
                                       "vsa_sha256": "", "state": "released"}  # fmt: skip
        self.subjects = (Subject(WHEEL, self.wheel_sha256),)
        self.provenance = self.sigstore.provenance(WHEEL, self.wheel_sha256, PUBLISHER["identity"], ISSUER)

    def trust(self, **changes: Any) -> TrustMaterial:
        """What a host believes about this release's index."""
        ring = key_ring(pin(self.gate, "gate", "gate"), pin(self.vetting, "vetting", "worker"))
        root = json.dumps(self.sigstore.trusted_root)
        values = {"keys": ring, "trusted_root": root, "timestamp_expires": NOW + timedelta(hours=20)}
        return TrustMaterial(**(values | changes))

    def evidence(self, **changes: Any) -> ReleaseEvidence:
        """Sign everything as it stands and link it by digests; `changes` replace finished parts."""
        capability = sign_statement(Statement(CAPABILITY, self.subjects, self.capability), self.vetting)
        self.summary["envcli"]["capability_sha256"] = sha256(capability)
        vsa = sign_statement(Statement(VSA, self.subjects, self.summary), self.gate)
        self.target["vsa_sha256"] = sha256(vsa)
        values = {
            "project": PROJECT,
            "version": VERSION,
            "wheel": FileDigest(WHEEL, self.wheel_sha256),
            "release_target": json.dumps(self.target).encode(),
            "takedowns": json.dumps({"version": 1, "takedowns": self.takedowns}).encode(),
            "vsa": vsa,
            "capability": capability,
            "attestations": self.provenance,
            "closure": (FileDigest(DEPENDENCY, sha256(b"hvac")),),
        }
        return ReleaseEvidence(**(values | changes))
