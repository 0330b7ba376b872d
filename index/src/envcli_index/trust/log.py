"""The log process: a transparency log for signatures (Rekor API version 1) and one for certificates (RFC
6962).

It alone holds the keys of both logs. Each log is a Merkle tree in an SQLite file under ``DIR/log``.
"""

import base64
from datetime import UTC, datetime
from typing import Any

import rfc8785
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from flask import Flask, Response, jsonify, request

from envcli_index.trust.ct import add_certificate_log
from envcli_index.trust.errors import DuplicateEntryError, EntryError
from envcli_index.trust.keys import AUTHORITY_INTERMEDIATE, key_id, load_ecdsa_key
from envcli_index.trust.merkle import Leaf, MerkleTree, leaf_hash
from envcli_index.trust.rekor import parse_entry
from envcli_index.trust.serving import problem, serve, service
from envcli_index.trust.settings import TrustSettings

MAX_ENTRY = 1 << 20
_TREE_ID_DIGITS = 16
_HASH_DIGITS = 64


class TransparencyLog:
    """The log of signatures."""

    def __init__(self, config: TrustSettings) -> None:
        """Open the log and load its key.

        Raises:
            KeyFileError: the key is missing or not acceptable.
        """
        keys = config.data / "keys"
        self._key = load_ecdsa_key(keys / "log" / "log.pem")
        self._authority = x509.load_pem_x509_certificate((keys / AUTHORITY_INTERMEDIATE).read_bytes())
        self._id = key_id(self._key.public_key())
        self._origin = config.log_url.partition("://")[2]
        self.tree = MerkleTree(config.data / "log" / "signatures.db")

    def add(self, raw: bytes) -> dict[str, Any]:
        """Log a proposed entry and return it as Rekor answers it.

        Raises:
            EntryError: the entry is not acceptable.
            DuplicateEntryError: it is in the log already.
        """
        now = datetime.now(UTC)
        body = parse_entry(raw, self._authority, now)
        return self.entry(self.tree.append(body, int(now.timestamp())))

    def entry(self, leaf: Leaf) -> dict[str, Any]:
        """Return an entry with its promise, its inclusion proof and a checkpoint, keyed by its identifier."""
        body = base64.b64encode(leaf.body).decode()
        promise: dict[str, Any] = {
            "body": body,
            "integratedTime": leaf.time,
            "logID": self._id.hex(),
            "logIndex": leaf.index,
        }
        verification = {
            "inclusionProof": self._inclusion(leaf.index),
            "signedEntryTimestamp": self._sign(rfc8785.dumps(promise)),
        }
        return {self.identifier(leaf.body): {**promise, "verification": verification}}

    def identifier(self, body: bytes) -> str:
        """Return the entry's identifier: the tree's in 16 hexadecimal digits and the leaf hash in 64."""
        return self._id.hex()[:_TREE_ID_DIGITS] + leaf_hash(body).hex()

    def find(self, identifier: str) -> Leaf | None:
        """Return the entry of an identifier with or without the tree's part, or None."""
        try:
            digest = bytes.fromhex(identifier[-_HASH_DIGITS:])
        except ValueError:
            return None
        index = self.tree.find(digest)
        return None if index is None else self.tree.leaf(index)

    def summary(self) -> dict[str, Any]:
        """Return the newest signed state of the log."""
        size = self.tree.size()
        root = self.tree.root(size)
        tree_id = str(int(self._id.hex()[:_TREE_ID_DIGITS], 16))
        checkpoint = self._checkpoint(size, root)
        return {"rootHash": root.hex(), "treeSize": size, "signedTreeHead": checkpoint, "treeID": tree_id}

    def public_pem(self) -> bytes:
        """Return the log's public key."""
        return self._key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def _inclusion(self, index: int) -> dict[str, Any]:
        size = self.tree.size()
        root = self.tree.root(size)
        return {
            "logIndex": index,
            "rootHash": root.hex(),
            "treeSize": size,
            "hashes": [digest.hex() for digest in self.tree.inclusion_proof(index, size)],
            "checkpoint": self._checkpoint(size, root),
        }

    def _checkpoint(self, size: int, root: bytes) -> str:
        """Return a signed note (C2SP tlog-checkpoint) whose name is the log's host and port."""
        note = f"{self._origin} - {int(self._id.hex()[:8], 16)}\n{size}\n{base64.b64encode(root).decode()}\n"
        signature = self._id[:4] + base64.b64decode(self._sign(note.encode()))
        return f"{note}\n\N{EM DASH} {self._origin} {base64.b64encode(signature).decode()}\n"

    def _sign(self, data: bytes) -> str:
        return base64.b64encode(self._key.sign(data, ec.ECDSA(hashes.SHA256()))).decode()


def create_app(config: TrustSettings) -> Flask:
    """Return the WSGI application of both logs.

    Args:
        config: the index; its keys must exist.

    Raises:
        KeyFileError: a key of the logs is missing or not acceptable.
    """
    (config.data / "log").mkdir(mode=0o700, exist_ok=True)
    app = service("log", MAX_ENTRY)
    log = TransparencyLog(config)
    _add_writing(app, log)
    _add_reading(app, log)
    add_certificate_log(app, config)
    return app


def run(config: TrustSettings, host: str, port: int) -> int:
    """Serve both logs until SIGTERM and return the exit status 0."""
    return serve(create_app(config), host, port)


def _add_writing(app: Flask, log: TransparencyLog) -> None:
    @app.post("/api/v1/log/entries")
    def create_entry() -> Any:
        try:
            entry = log.add(request.get_data())
        except DuplicateEntryError as error:
            leaf = log.tree.leaf(error.index)
            location = {"Location": f"/api/v1/log/entries/{log.identifier(leaf.body)}"} if leaf else {}
            return *problem(409, str(error)), location
        except EntryError as error:
            return problem(400, str(error))
        location = {"Location": f"/api/v1/log/entries/{next(iter(entry))}"}
        return entry, 201, location


def _add_reading(app: Flask, log: TransparencyLog) -> None:
    @app.get("/api/v1/log/entries")
    def entry_at() -> Any:
        index = request.args.get("logIndex", type=int)
        leaf = log.tree.leaf(index) if index is not None and index >= 0 else None
        return log.entry(leaf) if leaf else problem(404, "the log has no entry with this logIndex")

    @app.get("/api/v1/log/entries/<identifier>")
    def entry_named(identifier: str) -> Any:
        leaf = log.find(identifier)
        return log.entry(leaf) if leaf else problem(404, "the log has no entry with this identifier")

    @app.get("/api/v1/log")
    def summary() -> Any:
        return jsonify(log.summary())

    @app.get("/api/v1/log/publicKey")
    def public_key() -> Response:
        return Response(log.public_pem(), mimetype="application/x-pem-file")

    @app.get("/api/v1/log/proof")
    def consistency() -> Any:
        first = request.args.get("firstSize", 1, type=int)
        last = request.args.get("lastSize", 0, type=int)
        try:
            proof = log.tree.consistency_proof(first, last)
        except ValueError as error:
            return problem(400, str(error))
        return {"rootHash": log.tree.root(last).hex(), "hashes": [digest.hex() for digest in proof]}
