"""Sigstore's own client refuses every bundle of our instance that was changed or is incomplete."""

import base64
import copy
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from common.log_entries import ARTIFACT, encoded, entry_for, own_leaf, propose, set_path
from common.sigstore_instance import SigstoreInstance, sigstore_instance
from cryptography.hazmat.primitives.serialization import Encoding
from sigstore.errors import Error as SigstoreError
from sigstore.models import Bundle, ClientTrustConfig, TrustedRoot
from sigstore.oidc import IdentityToken
from sigstore.sign import SigningContext
from sigstore.verify import Verifier, policy

__all__ = ["sigstore_instance"]


@pytest.fixture(scope="module")
def bundle(sigstore_instance: SigstoreInstance) -> dict[str, Any]:
    """A bundle of the instance for ARTIFACT, as a document that tests change."""
    trust = ClientTrustConfig.from_json(sigstore_instance.trust_config.read_text())
    token = IdentityToken(sigstore_instance.issuer.identity_token())
    with SigningContext.from_trust_config(trust).signer(token) as signer:
        signed: dict[str, Any] = json.loads(signer.sign_artifact(ARTIFACT).to_json())
    return signed


def verify(instance: SigstoreInstance, document: dict[str, Any], artifact: bytes = ARTIFACT) -> None:
    path = instance.config.data / "trusted-root.json"
    path.write_text(instance.trusted_root)
    who = policy.Identity(identity=instance.issuer.identity(), issuer=instance.issuer.url)
    Verifier(trusted_root=TrustedRoot.from_file(str(path))).verify_artifact(
        artifact, Bundle.from_json(json.dumps(document)), who
    )


def test_untouched_bundle_verifies(sigstore_instance: SigstoreInstance, bundle: dict[str, Any]) -> None:
    verify(sigstore_instance, bundle)
    with pytest.raises(SigstoreError):
        verify(sigstore_instance, bundle, b"another wheel")


def flipped(text: str) -> str:
    data = bytearray(base64.b64decode(text))
    data[len(data) // 2] ^= 1
    return encoded(bytes(data))


def changed_entry(document: dict[str, Any], name: str, value: Any) -> dict[str, Any]:
    changed = copy.deepcopy(document)
    entry = changed["verificationMaterial"]["tlogEntries"][0]
    *way, last = name.split(".")
    for step in way:
        entry = entry[step]
    entry[last] = value(entry[last]) if callable(value) else value
    return changed


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("canonicalizedBody", flipped),
        ("integratedTime", lambda time: str(int(time) + 1)),
        ("logIndex", lambda index: str(int(index) + 1)),
        ("inclusionPromise.signedEntryTimestamp", flipped),
        ("inclusionProof.rootHash", flipped),
        ("inclusionProof.checkpoint.envelope", lambda note: note.replace("\n", "0\n", 1)),
        ("inclusionProof.treeSize", lambda size: str(int(size) + 1)),
    ],
)
def test_tampered_log_entry(
    sigstore_instance: SigstoreInstance, bundle: dict[str, Any], name: str, value: Any
) -> None:
    with pytest.raises((SigstoreError, ValueError)):
        verify(sigstore_instance, changed_entry(bundle, name, value))


def test_tampered_signature_or_certificate(
    sigstore_instance: SigstoreInstance, bundle: dict[str, Any]
) -> None:
    for path in ("messageSignature.signature", "verificationMaterial.certificate.rawBytes"):
        place: Any = bundle
        for step in path.split("."):
            place = place[step]
        with pytest.raises((SigstoreError, ValueError)):
            verify(sigstore_instance, set_path(bundle, path, flipped(place)))


def test_signature_that_was_never_logged(sigstore_instance: SigstoreInstance, bundle: dict[str, Any]) -> None:
    unlogged = set_path(bundle, "verificationMaterial.tlogEntries", [])
    with pytest.raises((SigstoreError, ValueError)):
        verify(sigstore_instance, unlogged)


def test_certificate_without_a_logged_timestamp(
    sigstore_instance: SigstoreInstance, bundle: dict[str, Any]
) -> None:
    """The authority's key alone, without the certificate log, makes no acceptable signature."""
    leaf, key = own_leaf(sigstore_instance, datetime.now(UTC))
    entry = propose(sigstore_instance, entry_for(leaf, key)).json()
    ((_, logged),) = entry.items()
    proof = logged["verification"]["inclusionProof"]
    document = copy.deepcopy(bundle)
    document["verificationMaterial"]["certificate"]["rawBytes"] = encoded(leaf.public_bytes(Encoding.DER))
    record = document["verificationMaterial"]["tlogEntries"][0]
    record["canonicalizedBody"], record["logIndex"] = logged["body"], str(logged["logIndex"])
    record["integratedTime"] = str(logged["integratedTime"])
    record["inclusionPromise"]["signedEntryTimestamp"] = logged["verification"]["signedEntryTimestamp"]
    record["inclusionProof"] = {
        "logIndex": str(proof["logIndex"]),
        "rootHash": encoded(bytes.fromhex(proof["rootHash"])),
        "treeSize": str(proof["treeSize"]),
        "hashes": [encoded(bytes.fromhex(each)) for each in proof["hashes"]],
        "checkpoint": {"envelope": proof["checkpoint"]},
    }
    body = json.loads(base64.b64decode(logged["body"]))
    document["messageSignature"]["signature"] = body["spec"]["signature"]["content"]
    with pytest.raises(SigstoreError, match=r"(?i)sct|timestamp"):
        verify(sigstore_instance, document)
