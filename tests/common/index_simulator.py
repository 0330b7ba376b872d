"""A small working index: the public tree with real TUF metadata, signed statements and wheels, served over HTTP.

In the spirit of python-tuf's repository simulator: everything is kept in memory, every signature is real, and tests
change the state (a new release, a takedown, an expired timestamp, a damaged file) and publish it again.
"""

import copy
import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from envcli_policy.statements import CAPABILITY, VSA, Statement, Subject, keyid_of, sign_statement
from securesystemslib.signer import CryptoSigner, SSlibKey
from tuf.api.metadata import (
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)

from common.wheels import build_wheel

ISSUER = "https://web.example.org"
PUBLISHER = {
    "uuid": "7a5c3d0e-2f63-4f0a-9d68-0e8fbb0f1c11",
    "name": "Example Publisher",
    "identity": f"{ISSUER}/publishers/7a5c3d0e-2f63-4f0a-9d68-0e8fbb0f1c11",
    "issuer": ISSUER,
}
MANIFEST = """schema = 1
id = "demo"
type = "command"
minimum_host_version = "0.1"
[[contributes]]
kind = "command"
name = "demo"
summary = "Says hello"
[[permissions]]
permission = "variable:read"
scope = "API_*"
reason = "to greet"
"""

Attest = Callable[[str, str], bytes]
"""Makes the PEP 740 provenance object of a file, from its name and SHA-256."""


@dataclass
class Fault:
    """What the server does instead of answering: an HTTP status, or only the first bytes of the file."""

    status: int = 200
    truncate_at: int | None = None


@dataclass
class Wheel:
    """A wheel in the simulator."""

    name: str
    version: str
    filename: str
    content: bytes
    metadata: bytes

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


def make_wheel(name: str, version: str, files: dict[str, bytes] | None = None, **options: Any) -> Wheel:
    """Build a wheel for the simulator."""
    package = name.replace("-", "_")
    files = {f"{package}/__init__.py": b""} if files is None else files
    return Wheel(name, version, *build_wheel(name, version, files, **options))


def make_plugin(name: str, version: str, manifest: str = MANIFEST, **options: Any) -> Wheel:
    """Build a plugin's wheel, ``plugin.toml`` included."""
    package = name.replace("-", "_")
    files = {f"{package}/__init__.py": b"class Demo: ...\n", f"{package}/plugin.toml": manifest.encode()}
    return make_wheel(
        name, version, files, entry_points=f"[envcli.plugins]\ndemo = {package}:Demo\n", **options
    )


@dataclass
class IndexSimulator:
    """The state of an index. Change it, call ``publish``, and clients see the change."""

    attest: Attest
    trusted_root: dict[str, Any]
    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    faults: dict[str, Fault] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    projects: dict[str, dict[str, Any]] = field(default_factory=dict)
    takedowns: list[dict[str, Any]] = field(default_factory=list)
    targets: dict[str, bytes] = field(default_factory=dict)
    posted: list[tuple[str, dict[str, Any], str]] = field(default_factory=list)
    timestamp_life: timedelta = timedelta(hours=24)

    def __post_init__(self) -> None:
        self.signers = {
            role: CryptoSigner.generate_ed25519() for role in ("root", "timestamp", "snapshot", "targets")
        }
        self.keys = {role: Ed25519PrivateKey.generate() for role in ("gate", "vetting")}
        self.version = 0
        self.root = Root(version=1, expires=_in(days=365), consistent_snapshot=True)
        for role, signer in self.signers.items():
            self.root.add_key(signer.public_key, role)
        self.files["tuf/metadata/1.root.json"] = self._signed(self.root, "root")
        self.targets["trust/keys.json"] = json.dumps({"version": 1, "keys": self._pinned_keys()}).encode()
        self.targets["trust/client-trust-config.json"] = json.dumps(
            {"trustedRoot": self.trusted_root}
        ).encode()
        self.publish()

    @property
    def root_sha256(self) -> str:
        """Fingerprint that clients pin."""
        return hashlib.sha256(self.files["tuf/metadata/1.root.json"]).hexdigest()

    def add_file(self, wheel: Wheel) -> None:
        """Store a wheel and its METADATA under its content address."""
        path = f"files/{wheel.sha256}/{wheel.filename}"
        self.files[path] = wheel.content
        self.files[f"{path}.metadata"] = wheel.metadata

    def release(
        self,
        wheel: Wheel,
        closure: tuple[Wheel, ...] = (),
        *,
        manifest: str = MANIFEST,
        state: str = "released",
        result: str = "PASSED",
        undeclared: tuple[str, ...] = (),
        publisher: dict[str, str] | None = None,
    ) -> None:
        """Release a plugin's wheel with everything that belongs to it, and publish."""
        for each in (wheel, *closure):
            self.add_file(each)
        who = publisher or PUBLISHER
        base = f"statements/{wheel.name}/{wheel.version}"
        capability = self._sign(CAPABILITY, wheel, _capability(manifest, undeclared), "vetting")
        vsa = self._sign(VSA, wheel, _summary(wheel, closure, capability, result, who), "gate")
        self.files[f"{base}/capability.dsse.json"] = capability
        self.files[f"{base}/vsa.dsse.json"] = vsa
        path = f"integrity/{wheel.name}/{wheel.version}/{wheel.filename}/provenance"
        self.files[path] = self.attest(wheel.filename, wheel.sha256)
        self.targets[f"releases/{wheel.name}/{wheel.version}.json"] = json.dumps(
            {
                "project": wheel.name,
                "project_uuid": _uuid(wheel.name),
                "publisher": who,
                "version": wheel.version,
                "files": {wheel.filename: wheel.sha256},
                "vsa_sha256": hashlib.sha256(vsa).hexdigest(),
                "state": state,
            }
        ).encode()
        self._list(wheel, state)
        self.publish()

    def take_down(self, project: str, versions: list[str], reason: str = "steals variables") -> None:
        """Issue a takedown and publish."""
        self.takedowns.append(
            {
                "id": f"TD-{len(self.takedowns) + 1}",
                "project": project,
                "versions": versions,
                "sha256": [],
                "reason": reason,
                "severity": "critical",
                "issued": _stamp(datetime.now(UTC)),
                "advisory": None,
            }
        )
        self.publish()

    def publish(self) -> None:
        """Render the catalog and sign a new version of all TUF metadata."""
        self.targets["takedowns.json"] = json.dumps({"version": 1, "takedowns": self.takedowns}).encode()
        self._render_catalog()
        self.version += 1
        targets = Targets(version=self.version, expires=_in(days=90))
        for path, data in self.targets.items():
            target = TargetFile.from_data(path, data, ["sha256"])
            targets.targets[path] = target
            folder, _, name = path.rpartition("/")
            self.files[f"tuf/targets/{folder + '/' if folder else ''}{target.hashes['sha256']}.{name}"] = data
        self._store(targets, "targets", f"{self.version}.targets.json")
        snapshot = Snapshot(
            version=self.version, expires=_in(days=7), meta={"targets.json": MetaFile(self.version)}
        )
        self._store(snapshot, "snapshot", f"{self.version}.snapshot.json")
        self.sign_timestamp()

    def sign_timestamp(self, version: int | None = None) -> None:
        """Sign the timestamp for snapshot ``version`` (default: the newest)."""
        stamp = Timestamp(
            version=version or self.version,
            expires=_now() + self.timestamp_life,
            snapshot_meta=MetaFile(version or self.version),
        )
        self._store(stamp, "timestamp", "timestamp.json")

    def snapshot_of_files(self) -> dict[str, bytes]:
        """Return a copy of what is served now, to be served again later (a rollback)."""
        return copy.copy(self.files)

    def _list(self, wheel: Wheel, state: str) -> None:
        entry = self.projects.setdefault(
            wheel.name,
            {
                "name": wheel.name,
                "project_uuid": _uuid(wheel.name),
                "publisher": PUBLISHER,
                "status": "active",
                "summary": "A plugin for tests",
                "description": "",
                "license": "MIT",
                "keywords": ["demo"],
                "type": "command",
                "releases": [],
            },
        )
        entry["releases"] = [r for r in entry["releases"] if r["version"] != wheel.version]
        entry["releases"].insert(
            0,
            {
                "version": wheel.version,
                "state": state,
                "uploaded": _stamp(datetime.now(UTC)),
                "requires_python": ">=3.11",
                "files": [{"filename": wheel.filename, "sha256": wheel.sha256, "size": len(wheel.content)}],
                "manifest": {"id": "demo", "type": "command", "permissions": []},
                "verdict": {
                    "result": "PASSED",
                    "reviewed_by": ["alice"],
                    "time": _stamp(_now()),
                    "rules": [],
                },
                "yanked": None,
            },
        )

    def _render_catalog(self) -> None:
        for name, entry in self.projects.items():
            self.files[f"projects/{name}.json"] = json.dumps(entry).encode()
        summaries = [
            {key: entry[key] for key in ("name", "summary", "publisher", "type", "keywords")}
            | {"latest": entry["releases"][0]["version"] if entry["releases"] else ""}
            for entry in self.projects.values()
        ]
        self.files["projects/index.json"] = json.dumps({"projects": summaries}).encode()

    def _sign(self, kind: str, wheel: Wheel, predicate: dict[str, Any], role: str) -> bytes:
        statement = Statement(kind, (Subject(wheel.filename, wheel.sha256),), predicate)
        private = self.keys[role]
        public = SSlibKey.from_crypto(
            private.public_key(), keyid=keyid_of(private.public_key()), scheme="ed25519"
        )
        return sign_statement(statement, CryptoSigner(private, public))

    def _pinned_keys(self) -> list[dict[str, Any]]:
        return [
            {
                "keyid": keyid_of(key.public_key()),
                "scheme": "ed25519",
                "public": key.public_key()
                .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
                .decode(),
                "role": role,
                "name": role,
                "valid_from": _stamp(_now() - timedelta(days=30)),
                "valid_until": None,
            }
            for role, key in self.keys.items()
        ]

    def _signed(self, signed: Any, role: str) -> bytes:
        metadata = Metadata(signed)
        metadata.sign(self.signers[role])
        return metadata.to_bytes()

    def _store(self, signed: Any, role: str, name: str) -> None:
        self.files[f"tuf/metadata/{name}"] = self._signed(signed, role)


@contextmanager
def serve_index(simulator: IndexSimulator) -> Iterator[IndexSimulator]:
    """Serve ``simulator`` on a free loopback port for the block's duration."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            path = self.path.removeprefix("/")
            simulator.requests.append(path)
            fault = simulator.faults.get(path, Fault())
            content = simulator.files.get(path)
            if content is None or fault.status != 200:
                self._answer(fault.status if fault.status != 200 else 404, b"")
                return
            self._answer(200, content, fault.truncate_at)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            token = self.headers.get("Authorization", "")
            simulator.posted.append((self.path.removeprefix("/"), json.loads(body), token))
            self._answer(201, b"{}")

        def do_HEAD(self) -> None:
            found = self.path.removeprefix("/") in simulator.files
            self.send_response(200 if found else 404)
            self.send_header(
                "Content-Length", str(len(simulator.files.get(self.path.removeprefix("/"), b"")))
            )
            self.end_headers()

        def _answer(self, status: int, content: bytes, truncate_at: int | None = None) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[:truncate_at])
            self.close_connection = truncate_at is not None

        def log_message(self, *args: Any) -> None:
            """Stay silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.005}, daemon=True)
    thread.start()
    simulator.url = f"http://127.0.0.1:{server.server_port}/"
    try:
        yield simulator
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _summary(
    wheel: Wheel, closure: tuple[Wheel, ...], capability: bytes, result: str, publisher: dict[str, str]
) -> dict[str, Any]:
    return {
        "verifier": {"id": "https://index.example.org/gate"},
        "timeVerified": _stamp(_now()),
        "resourceUri": f"pkg:pypi/{wheel.name}@{wheel.version}",
        "policy": {"uri": "https://index.example.org/layout", "digest": {"sha256": "0" * 64}},
        "inputAttestations": [],
        "verificationResult": result,
        "verifiedLevels": ["SLSA_BUILD_LEVEL_1"],
        "envcli": {
            "project": _uuid(wheel.name),
            "publisher": publisher,
            "closure": [
                {"name": each.name, "version": each.version, "filename": each.filename, "sha256": each.sha256}
                for each in closure
            ],
            "capability_sha256": hashlib.sha256(capability).hexdigest(),
            "reviewed_by": ["alice"],
            "source_archive_sha256": None,
        },
    }


def _capability(manifest: str, undeclared: tuple[str, ...]) -> dict[str, Any]:
    return {
        "manifest": manifest,
        "manifest_sha256": hashlib.sha256(manifest.encode()).hexdigest(),
        "observed": [{"permission": "variable:read", "evidence": [{"path": "demo/__init__.py", "line": 3}]}],
        "undeclared": list(undeclared),
        "unused": [],
    }


def _uuid(name: str) -> str:
    digest = hashlib.sha256(name.encode()).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-4{digest[13:16]}-8{digest[17:20]}-{digest[20:32]}"


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def _in(days: int) -> datetime:
    return _now() + timedelta(days=days)


def _stamp(when: datetime) -> str:
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
