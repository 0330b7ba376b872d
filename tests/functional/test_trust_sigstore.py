"""The unmodified Sigstore and PEP 740 clients sign and verify against our own instance, through real processes."""

import base64
import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from common.ports import free_port
from common.sigstore_instance import (
    SigstoreInstance,
    new_index,
    running_instance,
    sigstore_instance,
    start_service,
    stop_service,
    wait_healthy,
)
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import load_pem_x509_certificate
from envcli_policy.attestation import verify_attestations
from pypi_attestations import Attestation, Distribution
from sigstore.models import ClientTrustConfig
from sigstore.oidc import IdentityToken
from sigstore.sign import SigningContext

__all__ = ["sigstore_instance"]

WHEEL = "envcli_plugin_example-1.0.0-py3-none-any.whl"


def sigstore_cli(home: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run the Sigstore command line with a home of its own."""
    environment = {**os.environ, "HOME": str(home), "XDG_DATA_HOME": str(home), "XDG_CACHE_HOME": str(home)}
    command = [sys.executable, "-m", "sigstore", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def sign(instance: SigstoreInstance, home: Path, artifact: Path) -> Path:
    """Sign ``artifact`` and return its bundle."""
    token = instance.issuer.identity_token()
    trust = str(instance.trust_config)
    done = sigstore_cli(home, "--trust-config", trust, "sign", "--identity-token", token, str(artifact))
    assert done.returncode == 0, done.stderr
    return artifact.with_name(artifact.name + ".sigstore.json")


def verify(instance: SigstoreInstance, home: Path, artifact: Path, identity: str) -> int:
    """Verify ``artifact`` offline with the Sigstore command line and return its exit status."""
    trust, issuer = str(instance.trust_config), instance.issuer.url
    done = sigstore_cli(
        home,
        *("--trust-config", trust, "verify", "identity", "--offline", "--cert-identity", identity),
        *("--cert-oidc-issuer", issuer, str(artifact)),
    )
    return done.returncode


def test_command_line_signs_and_verifies(sigstore_instance: SigstoreInstance, tmp_path: Path) -> None:
    artifact = tmp_path / WHEEL
    artifact.write_bytes(b"a wheel")
    sign(sigstore_instance, tmp_path, artifact)
    assert verify(sigstore_instance, tmp_path, artifact, sigstore_instance.issuer.identity()) == 0
    assert verify(sigstore_instance, tmp_path, artifact, sigstore_instance.issuer.identity() + "0") != 0
    artifact.write_bytes(b"another wheel")
    assert verify(sigstore_instance, tmp_path, artifact, sigstore_instance.issuer.identity()) != 0


def attest(instance: SigstoreInstance, wheel: Path) -> Attestation:
    """Make a PEP 740 publish attestation for ``wheel`` as publishers do."""
    context = SigningContext.from_trust_config(ClientTrustConfig.from_json(instance.trust_config.read_text()))
    with context.signer(IdentityToken(instance.issuer.identity_token())) as signer:
        return Attestation.sign(signer, Distribution.from_file(wheel))


def test_publish_attestation_verifies_by_the_policy(
    sigstore_instance: SigstoreInstance, tmp_path: Path
) -> None:
    wheel = tmp_path / WHEEL
    wheel.write_bytes(b"a wheel")
    attestation = attest(sigstore_instance, wheel)
    issuer = sigstore_instance.issuer
    (facts,) = verify_attestations(
        f"[{attestation.model_dump_json()}]".encode(),
        filename=WHEEL,
        sha256=hashlib.sha256(b"a wheel").hexdigest(),
        trusted_root=sigstore_instance.trusted_root,
        expected_identity=issuer.identity(),
        expected_issuer=issuer.url,
    )
    assert (facts.identity, facts.issuer) == (issuer.identity(), issuer.url)


def test_certificate_for_a_bare_public_key(sigstore_instance: SigstoreInstance) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = sigstore_instance.issuer
    proof = key.sign(issuer.identity().encode(), ec.ECDSA(hashes.SHA256()))
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    request = {
        "credentials": {"oidcIdentityToken": issuer.identity_token()},
        "publicKeyRequest": {
            "publicKey": {"algorithm": "ECDSA", "content": pem},
            "proofOfPossession": base64.b64encode(proof).decode(),
        },
    }
    url = sigstore_instance.config.authority_url
    answer = httpx.post(f"{url}/api/v2/signingCert", json=request)
    assert answer.status_code == 201
    pems = answer.json()["signedCertificateEmbeddedSct"]["chain"]["certificates"]
    leaf, *chain = (load_pem_x509_certificate(each.encode()) for each in pems)
    assert leaf.public_key() == key.public_key()
    assert (leaf.not_valid_after_utc - leaf.not_valid_before_utc).total_seconds() == 600
    bundle = httpx.get(f"{url}/api/v2/trustBundle").json()["chains"][0]["certificates"]
    assert pems[1:] == bundle
    leaf.verify_directly_issued_by(chain[0])
    chain[0].verify_directly_issued_by(chain[1])


def test_log_answers_by_index_and_identifier(sigstore_instance: SigstoreInstance, tmp_path: Path) -> None:
    wheel = tmp_path / WHEEL
    wheel.write_bytes(os.urandom(16))
    attest(sigstore_instance, wheel)
    url = sigstore_instance.config.log_url
    size = httpx.get(f"{url}/api/v1/log").json()["treeSize"]
    found = httpx.get(f"{url}/api/v1/log/entries", params={"logIndex": size - 1}).json()
    ((identifier, entry),) = found.items()
    for name in (identifier, identifier[-64:]):
        assert httpx.get(f"{url}/api/v1/log/entries/{name}").json()[identifier]["body"] == entry["body"]
    assert httpx.get(f"{url}/api/v1/log/entries", params={"logIndex": size}).status_code == 404
    assert httpx.get(f"{url}/api/v1/log/entries/00").status_code == 404
    proof = httpx.get(f"{url}/api/v1/log/proof", params={"firstSize": 1, "lastSize": size})
    assert proof.status_code == 200
    assert httpx.get(f"{url}/api/v1/log/publicKey").text.startswith("-----BEGIN PUBLIC KEY-----")


def test_certificate_log_lists_what_was_issued(sigstore_instance: SigstoreInstance, tmp_path: Path) -> None:
    wheel = tmp_path / WHEEL
    wheel.write_bytes(b"a wheel")
    attest(sigstore_instance, wheel)
    url = sigstore_instance.config.log_url + "/ct/v1"
    head = httpx.get(f"{url}/get-sth").json()
    last = head["tree_size"] - 1
    (entry,) = httpx.get(f"{url}/get-entries", params={"start": last, "end": last + 5}).json()["entries"]
    leaf = base64.b64decode(entry["leaf_input"])
    assert sigstore_instance.issuer.identity().encode() in leaf
    digest = base64.b64encode(hashlib.sha256(b"\x00" + leaf).digest()).decode()
    params = {"hash": digest, "tree_size": str(last + 1)}
    assert httpx.get(f"{url}/get-proof-by-hash", params=params).json()["leaf_index"] == last
    assert httpx.get(f"{url}/get-sth-consistency", params={"first": 1, "second": last + 1}).status_code == 200
    assert len(httpx.get(f"{url}/get-roots").json()["certificates"]) == 1


@pytest.mark.parametrize("name", ["authority", "log", "timestamp"])
def test_services_end_cleanly(name: str, tmp_path: Path) -> None:
    port = free_port()
    config = new_index(tmp_path / "index", "http://127.0.0.1:1", authority_port=port, log_port=port)
    process = start_service(name, config, port)
    if name != "timestamp":
        wait_healthy(config.log_url)
    else:
        wait_for_output(config.data / "timestamp.stderr")
    assert stop_service(process) == 0


def wait_for_output(path: Path) -> None:
    """Wait until a service has logged a line (here: that there is no repository yet)."""
    for _ in range(600):
        if path.exists() and path.read_bytes():
            return
        time.sleep(0.05)
    raise AssertionError(f"{path} stays empty")


def test_killed_log_keeps_every_entry(tmp_path: Path) -> None:
    wheel = tmp_path / WHEEL
    wheel.write_bytes(b"a wheel")
    with running_instance(tmp_path / "index") as instance:
        attest(instance, wheel)
        before = httpx.get(f"{instance.config.log_url}/api/v1/log").json()
        instance.kill("log")
        instance.start("log")
        after = httpx.get(f"{instance.config.log_url}/api/v1/log").json()
        attest(instance, wheel)
    assert before["treeSize"] == 1
    assert (before["treeSize"], before["rootHash"]) == (after["treeSize"], after["rootHash"])
