"""Entries and certificates for the logs, made by hand as an attacker (or the authority itself) would."""

import base64
import copy
import hashlib
from datetime import datetime
from typing import Any

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from envcli_index.trust.certificates import leaf_builder
from envcli_index.trust.keys import AUTHORITY_INTERMEDIATE, load_ecdsa_key

from common.sigstore_instance import SigstoreInstance

ARTIFACT = b"a wheel"


def encoded(data: bytes) -> str:
    """Return ``data`` in base64."""
    return base64.b64encode(data).decode()


def entry_for(
    certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey, data: bytes = ARTIFACT
) -> dict[str, Any]:
    """A proposed hashedrekord."""
    digest = hashlib.sha256(data).hexdigest()
    signature = {
        "content": encoded(key.sign(data, ec.ECDSA(hashes.SHA256()))),
        "publicKey": {"content": encoded(certificate.public_bytes(Encoding.PEM))},
    }
    spec = {"data": {"hash": {"algorithm": "sha256", "value": digest}}, "signature": signature}
    return {"kind": "hashedrekord", "apiVersion": "0.0.1", "spec": spec}


def own_leaf(
    instance: SigstoreInstance, now: datetime
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """A certificate of the instance's authority, made with its key as only the authority can."""
    keys = instance.config.keys
    authority = x509.load_pem_x509_certificate((keys / AUTHORITY_INTERMEDIATE).read_bytes())
    key = ec.generate_private_key(ec.SECP256R1())
    builder = leaf_builder(authority, key.public_key(), instance.issuer.identity(), instance.issuer.url, now)
    return builder.sign(load_ecdsa_key(keys / "authority" / "intermediate.pem"), hashes.SHA256()), key


def propose(instance: SigstoreInstance, entry: Any) -> httpx.Response:
    """Propose ``entry`` to the transparency log."""
    return httpx.post(f"{instance.config.log_url}/api/v1/log/entries", json=entry)


def set_path(document: Any, path: str, value: Any) -> Any:
    """Return a copy of ``document`` with one field replaced; ``path`` is dotted."""
    changed = copy.deepcopy(document)
    *way, last = path.split(".")
    place = changed
    for step in way:
        place = place[step]
    place[last] = value
    return changed
