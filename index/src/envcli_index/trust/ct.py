"""The certificate transparency log (RFC 6962 section 4), under ``/ct/v1`` of the log process.

It accepts precertificates of this index's authority alone.
"""

import base64
import json
import time
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from flask import Flask, request

from envcli_index.trust.errors import DuplicateEntryError, EntryError
from envcli_index.trust.keys import AUTHORITY_INTERMEDIATE, AUTHORITY_ROOT, key_id, load_ecdsa_key
from envcli_index.trust.merkle import Leaf, MerkleTree
from envcli_index.trust.sct import (
    SignedTimestamp,
    opaque24,
    signed_struct,
    tbs_without_poison,
    timestamped_entry,
    tree_head,
)
from envcli_index.trust.serving import problem
from envcli_index.trust.settings import TrustSettings

_MOST_ENTRIES = 256


class CertificateLog:
    """The log of certificates."""

    def __init__(self, config: TrustSettings) -> None:
        """Open the log and load its key.

        Raises:
            KeyFileError: the key is missing or not acceptable.
        """
        keys = config.data / "keys"
        self._key = load_ecdsa_key(keys / "log" / "ct.pem")
        self._issuer = x509.load_pem_x509_certificate((keys / AUTHORITY_INTERMEDIATE).read_bytes())
        self.root = x509.load_pem_x509_certificate((keys / AUTHORITY_ROOT).read_bytes())
        self.tree = MerkleTree(config.data / "log" / "certificates.db")

    def add(self, raw: bytes) -> SignedTimestamp:
        """Log a precertificate chain and return the promise to keep it.

        Raises:
            EntryError: the chain is malformed or not of this index's authority.
        """
        precertificate = _first_certificate(raw)
        try:
            precertificate.verify_directly_issued_by(self._issuer)
        except (InvalidSignature, ValueError, TypeError) as error:
            raise EntryError("the precertificate was not issued by this index's authority") from error
        timestamp = time.time_ns() // 1_000_000
        entry = timestamped_entry(self._issuer, tbs_without_poison(precertificate), timestamp)
        self.tree.append(entry, timestamp, self._extra(precertificate))
        return SignedTimestamp(key_id(self._key.public_key()), timestamp, self._sign(entry))

    def tree_head(self) -> dict[str, Any]:
        """Return the newest signed tree head (RFC 6962 section 4.3)."""
        size, timestamp = self.tree.size(), time.time_ns() // 1_000_000
        root = self.tree.root(size)
        signature = signed_struct(self._sign(tree_head(size, root, timestamp)))
        return {
            "tree_size": size,
            "timestamp": timestamp,
            "sha256_root_hash": _base64(root),
            "tree_head_signature": _base64(signature),
        }

    def _extra(self, precertificate: x509.Certificate) -> bytes:
        """Return the PrecertChainEntry of RFC 6962 section 3.1."""
        chain = b"".join(opaque24(c.public_bytes(Encoding.DER)) for c in (self._issuer, self.root))
        return opaque24(precertificate.public_bytes(Encoding.DER)) + opaque24(chain)

    def _sign(self, data: bytes) -> bytes:
        return self._key.sign(data, ec.ECDSA(hashes.SHA256()))


def add_certificate_log(app: Flask, config: TrustSettings) -> None:
    """Add the routes of the certificate log to ``app``.

    Raises:
        KeyFileError: the log's key is missing or not acceptable.
    """
    log = CertificateLog(config)
    _add_writing(app, log)
    _add_reading(app, log)
    _add_proofs(app, log)


def _add_writing(app: Flask, log: CertificateLog) -> None:
    @app.post("/ct/v1/add-pre-chain")
    def add_pre_chain() -> Any:
        try:
            return log.add(request.get_data()).to_json()
        except (EntryError, DuplicateEntryError) as error:
            return problem(400, str(error))


def _add_reading(app: Flask, log: CertificateLog) -> None:
    @app.get("/ct/v1/get-sth")
    def get_sth() -> dict[str, Any]:
        return log.tree_head()

    @app.get("/ct/v1/get-roots")
    def get_roots() -> dict[str, Any]:
        return {"certificates": [_base64(log.root.public_bytes(Encoding.DER))]}

    @app.get("/ct/v1/get-entries")
    def get_entries() -> Any:
        start, end = request.args.get("start", -1, type=int), request.args.get("end", -1, type=int)
        if not 0 <= start <= end:
            return problem(400, "start and end must be indices from 0 with start not behind end")
        leaves = log.tree.leaves(start, min(end + 1, start + _MOST_ENTRIES))
        return {"entries": [_entry(leaf) for leaf in leaves]}


def _add_proofs(app: Flask, log: CertificateLog) -> None:
    @app.get("/ct/v1/get-sth-consistency")
    def get_consistency() -> Any:
        first, second = request.args.get("first", 0, type=int), request.args.get("second", 0, type=int)
        try:
            return {"consistency": [_base64(digest) for digest in log.tree.consistency_proof(first, second)]}
        except ValueError as error:
            return problem(400, str(error))

    @app.get("/ct/v1/get-proof-by-hash")
    def get_proof() -> Any:
        try:
            index = log.tree.find(base64.b64decode(request.args.get("hash", ""), validate=True))
            size = request.args.get("tree_size", 0, type=int)
            path = log.tree.inclusion_proof(-1 if index is None else index, size)
        except ValueError as error:
            return problem(400, str(error))
        return {"leaf_index": index, "audit_path": [_base64(digest) for digest in path]}


def _first_certificate(raw: bytes) -> x509.Certificate:
    try:
        return x509.load_der_x509_certificate(base64.b64decode(json.loads(raw)["chain"][0], validate=True))
    except (KeyError, IndexError, TypeError, ValueError, RecursionError) as error:
        cause = f"the chain is malformed ({type(error).__name__})"
        raise EntryError(f"{cause}; send DER certificates in base64") from error


def _entry(leaf: Leaf) -> dict[str, str]:
    return {"leaf_input": _base64(leaf.body), "extra_data": _base64(leaf.extra)}


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
