"""What the authority and the logs must refuse over HTTP."""

import base64
import contextlib
import hashlib
import json
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from common.log_entries import encoded, entry_for, own_leaf, propose, set_path
from common.oidc_issuer import running_issuer
from common.sigstore_instance import SigstoreInstance, sigstore_instance
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from envcli_index.trust.certificates import (
    intermediate_certificate,
    leaf_builder,
    poisoned,
    root_certificate,
)
from envcli_index.trust.serving import service

__all__ = ["sigstore_instance"]


def signing_request(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> str:
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return encoded(builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM))


def ask_certificate(instance: SigstoreInstance, token: str, document: Any) -> httpx.Response:
    url = f"{instance.config.authority_url}/api/v2/signingCert"
    return httpx.post(url, json=document, headers={"Authorization": f"Bearer {token}"} if token else {})


def issued_size(instance: SigstoreInstance) -> int:
    return int(httpx.get(f"{instance.config.log_url}/ct/v1/get-sth").json()["tree_size"])


def test_refused_token_leaves_no_trace_in_the_certificate_log(sigstore_instance: SigstoreInstance) -> None:
    request = {"certificateSigningRequest": signing_request(ec.generate_private_key(ec.SECP256R1()))}
    issuer = sigstore_instance.issuer
    before = issued_size(sigstore_instance)
    with running_issuer() as foreign:
        tokens = [foreign.identity_token(), foreign.identity_token(iss=issuer.url, sub=issuer.identity())]
    tokens += [issuer.identity_token(aud="envcli-index"), issuer.api_token(), "", "x"]
    for token in tokens:
        answer = ask_certificate(sigstore_instance, token, request)
        assert answer.status_code == 401
        assert not token or token not in answer.text
    assert issued_size(sigstore_instance) == before


def bare_key_request(instance: SigstoreInstance, proof_of: str) -> dict[str, Any]:
    """A publicKeyRequest whose proof of possession signs ``proof_of``."""
    key = ec.generate_private_key(ec.SECP256R1())
    proof = key.sign(proof_of.encode(), ec.ECDSA(hashes.SHA256()))
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    return {"publicKeyRequest": {"publicKey": {"content": pem}, "proofOfPossession": encoded(proof)}}


def tampered_request() -> str:
    der = bytearray(base64.b64decode(signing_request(ec.generate_private_key(ec.SECP256R1()))))
    request = bytearray(x509.load_pem_x509_csr(bytes(der)).public_bytes(Encoding.DER))
    request[-1] ^= 1
    body = base64.encodebytes(bytes(request)).decode()
    pem = f"-----BEGIN CERTIFICATE REQUEST-----\n{body}-----END CERTIFICATE REQUEST-----\n"
    return encoded(pem.encode())


@pytest.mark.parametrize(
    "document",
    [
        {},
        [],
        {"certificateSigningRequest": "not base64"},
        {"certificateSigningRequest": encoded(b"not a request")},
        {"certificateSigningRequest": 7},
        {"certificateSigningRequest": tampered_request()},
        {"certificateSigningRequest": signing_request(rsa.generate_private_key(65537, 2048))},
        {"certificateSigningRequest": signing_request(ec.generate_private_key(ec.SECP384R1()))},
        {"publicKeyRequest": {}},
        {"publicKeyRequest": {"publicKey": {"content": "x"}, "proofOfPossession": ""}},
        {"publicKeyRequest": {"publicKey": None}},
    ],
)
def test_request_without_a_proven_p256_key(sigstore_instance: SigstoreInstance, document: Any) -> None:
    token = sigstore_instance.issuer.identity_token()
    assert ask_certificate(sigstore_instance, token, document).status_code == 400


def test_proof_of_possession_must_sign_the_own_subject(sigstore_instance: SigstoreInstance) -> None:
    token = sigstore_instance.issuer.identity_token()
    document = bare_key_request(sigstore_instance, "somebody else")
    assert ask_certificate(sigstore_instance, token, document).status_code == 400


@pytest.mark.parametrize("raw", [b"", b"{", b"[" * 50_000, b"\xff\xfe", b"null", b"7"])
def test_body_that_is_no_document(sigstore_instance: SigstoreInstance, raw: bytes) -> None:
    config = sigstore_instance.config
    addresses = [f"{config.authority_url}/api/v2/signingCert"]
    addresses += [f"{config.log_url}/api/v1/log/entries", f"{config.log_url}/ct/v1/add-pre-chain"]
    headers = {"Authorization": f"Bearer {sigstore_instance.issuer.identity_token()}"}
    for address in addresses:
        assert httpx.post(address, content=raw, headers=headers).status_code == 400


def test_oversized_bodies_are_refused_by_length_and_by_count(sigstore_instance: SigstoreInstance) -> None:
    config = sigstore_instance.config
    for url, path, limit in (
        (config.authority_url, "/api/v2/signingCert", 1 << 16),
        (config.log_url, "/api/v1/log/entries", 1 << 20),
        (config.log_url, "/ct/v1/add-pre-chain", 1 << 20),
    ):
        assert first_line(url, path, f"Content-Length: {limit + 1}\r\n", b"") in {400, 413}
        chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
        assert first_line(url, path, "Transfer-Encoding: chunked\r\n", chunk * (limit // 65536 + 2)) in {
            400,
            413,
        }


def first_line(url: str, path: str, header: str, body: bytes) -> int:
    """Send a request by hand and return the status."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), timeout=20) as connection:
        connection.sendall(f"POST {path} HTTP/1.1\r\nHost: x\r\n{header}\r\n".encode())
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(body)
        return int(connection.recv(64).split()[1])


def foreign_leaf(instance: SigstoreInstance) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """A certificate of an authority that only claims the same name."""
    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    middle_key = ec.generate_private_key(ec.SECP256R1())
    middle = intermediate_certificate(root_certificate(root_key), root_key, middle_key.public_key())
    builder = leaf_builder(
        middle, key.public_key(), instance.issuer.identity(), instance.issuer.url, datetime.now(UTC)
    )
    return builder.sign(middle_key, hashes.SHA256()), key


def test_log_accepts_an_entry_once(sigstore_instance: SigstoreInstance) -> None:
    entry = entry_for(*own_leaf(sigstore_instance, datetime.now(UTC)))
    first = propose(sigstore_instance, entry)
    assert first.status_code == 201
    again = propose(sigstore_instance, entry)
    assert again.status_code == 409
    assert again.headers["Location"] == f"/api/v1/log/entries/{next(iter(first.json()))}"


def test_log_refuses_certificates_that_are_not_ours_or_not_valid_now(
    sigstore_instance: SigstoreInstance,
) -> None:
    old = own_leaf(sigstore_instance, datetime(2026, 1, 1, tzinfo=UTC))
    for leaf in (foreign_leaf(sigstore_instance), old):
        answer = propose(sigstore_instance, entry_for(*leaf))
        assert answer.status_code == 400
        assert "certificate" in answer.json()["message"]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("spec.data.hash.value", hashlib.sha256(b"another wheel").hexdigest()),
        ("spec.data.hash.value", "00"),
        ("spec.data.hash.value", "zz"),
        ("spec.data.hash.algorithm", "sha512"),
        ("spec.data.hash.algorithm", "md5"),
        ("spec.signature.content", encoded(b"no signature")),
        ("spec.signature.content", "***"),
        ("spec.signature.content", None),
        ("spec.signature.publicKey.content", encoded(b"no certificate")),
        ("spec.signature", {}),
        ("spec", None),
        ("kind", "intoto"),
        ("apiVersion", "0.0.2"),
        ("kind", ["hashedrekord"]),
    ],
)
def test_log_verifies_before_it_logs(sigstore_instance: SigstoreInstance, path: str, value: Any) -> None:
    size = httpx.get(f"{sigstore_instance.config.log_url}/api/v1/log").json()["treeSize"]
    entry = entry_for(*own_leaf(sigstore_instance, datetime.now(UTC)))
    answer = propose(sigstore_instance, set_path(entry, path, value))
    assert answer.status_code == 400
    assert httpx.get(f"{sigstore_instance.config.log_url}/api/v1/log").json()["treeSize"] == size


def envelope_entry(instance: SigstoreInstance) -> dict[str, Any]:
    """A proposed dsse entry whose signature verifies."""
    leaf, key = own_leaf(instance, datetime.now(UTC))
    payload, kind = b"{}", b"application/vnd.in-toto+json"
    signed = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)
    envelope = {
        "payload": encoded(payload),
        "payloadType": kind.decode(),
        "signatures": [{"sig": encoded(key.sign(signed, ec.ECDSA(hashes.SHA256())))}],
    }
    content = {
        "envelope": json.dumps(envelope),
        "verifiers": [encoded(leaf.public_bytes(Encoding.PEM))],
    }
    return {"kind": "dsse", "apiVersion": "0.0.1", "spec": {"proposedContent": content}}


@pytest.mark.parametrize(
    "change",
    [
        lambda envelope: {**envelope, "payload": encoded(b"[]")},
        lambda envelope: {**envelope, "payloadType": "text/plain"},
        lambda envelope: {**envelope, "signatures": []},
        lambda envelope: {**envelope, "signatures": envelope["signatures"] * 2},
        lambda envelope: {**envelope, "signatures": [{"sig": encoded(b"x")}]},
        lambda envelope: [],
    ],
)
def test_log_verifies_envelopes(
    sigstore_instance: SigstoreInstance, change: Callable[[dict[str, Any]], Any]
) -> None:
    entry = envelope_entry(sigstore_instance)
    content = entry["spec"]["proposedContent"]
    changed = set_path(
        entry, "spec.proposedContent.envelope", json.dumps(change(json.loads(content["envelope"])))
    )
    assert propose(sigstore_instance, changed).status_code == 400
    assert (
        propose(sigstore_instance, set_path(entry, "spec.proposedContent.verifiers", [])).status_code == 400
    )
    assert propose(sigstore_instance, entry).status_code == 201


def test_certificate_log_refuses_what_the_authority_did_not_issue(
    sigstore_instance: SigstoreInstance,
) -> None:
    leaf, _ = own_leaf(sigstore_instance, datetime.now(UTC))
    stranger = ec.generate_private_key(ec.SECP256R1())
    root = root_certificate(stranger)
    builder = leaf_builder(
        root, stranger.public_key(), "https://x.example/", "https://x.example", datetime.now(UTC)
    )
    for certificate in (leaf, root, poisoned(builder).sign(stranger, hashes.SHA256())):
        chain = {"chain": [encoded(certificate.public_bytes(Encoding.DER))]}
        answer = httpx.post(f"{sigstore_instance.config.log_url}/ct/v1/add-pre-chain", json=chain)
        assert answer.status_code == 400


@pytest.mark.parametrize(
    "query",
    [
        "/api/v1/log/entries?logIndex=-1",
        "/api/v1/log/entries?logIndex=99999999999999999999999999",
        "/api/v1/log/entries?logIndex=x",
        "/api/v1/log/entries/..%2f..",
        "/api/v1/log/proof?firstSize=0&lastSize=1",
        "/api/v1/log/proof?firstSize=2&lastSize=99999999999",
        "/ct/v1/get-entries?start=5&end=1",
        "/ct/v1/get-entries?start=-1&end=1",
        "/ct/v1/get-entries?start=&end=",
        "/ct/v1/get-proof-by-hash?hash=%ff&tree_size=1",
        "/ct/v1/get-sth-consistency?first=-1&second=0",
        "/nowhere",
    ],
)
def test_strange_questions_get_a_plain_refusal(sigstore_instance: SigstoreInstance, query: str) -> None:
    answer = httpx.get(sigstore_instance.config.log_url + query)
    assert answer.status_code in {400, 404}
    assert answer.json()["message"]


def test_secrets_stay_out_of_the_service_logs(sigstore_instance: SigstoreInstance) -> None:
    token = sigstore_instance.issuer.identity_token(aud="elsewhere")
    assert ask_certificate(sigstore_instance, token, {}).status_code >= 400
    data: Path = sigstore_instance.config.data
    written = "".join((data / f"{name}.stderr").read_text() for name in ("authority", "log", "timestamp"))
    assert "/api/v2/signingCert" in written
    assert "eyJ" not in written
    assert "PRIVATE KEY" not in written


def test_path_cannot_forge_a_line_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        answer = service("forged", 100).test_client().get("/x%0Alog INFO GET /api 200")
    assert answer.status_code == 404
    assert [record.getMessage() for record in caplog.records] == [
        "GET /x%0Alog%20INFO%20GET%20/api%20200 404"
    ]
