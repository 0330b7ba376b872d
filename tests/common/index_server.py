"""A real index in processes of its own: devpi with our plugin, public server, gate and timestamp.

Use the fixture by importing it: ``from common.index_server import index_server``. Vetting is played by
``vet``, which signs with the index's real vetting key what a worker would sign; ``start("worker")`` runs the
real one.
"""

import base64
import hashlib
import json
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from envcli_index import queue
from envcli_index.config import IndexConfig
from envcli_index.database import connect, read, write
from envcli_index.enrolment import enrol
from envcli_index.releases import Release, add_statement, closure_of, find_release, save_envelope
from envcli_index.reviewer_tools import decide, keygen
from envcli_index.setup import LAYOUT_TARGET, initialise
from envcli_index.trust.keys import load_signer
from envcli_index.trust.tuf import TufPublisher
from envcli_policy.layout import default_layout
from envcli_policy.release import ClosureFile, closure_digest
from envcli_policy.statements import CAPABILITY, TEST_RESULT, VULNS, Statement, sign_statement

from common.oidc_issuer import PUBLISHER, OidcIssuer, running_issuer
from common.ports import free_port
from common.private_sigstore import PrivateSigstore
from common.wheels import build_wheel

START_SECONDS = 30.0
WAIT_SECONDS = 20.0
HTTP_PROCESSES = ("devpi", "serve", "authority", "log")
MANIFEST = """schema = 1
id = "{name}"
type = "command"
minimum_host_version = "0.1"
[[contributes]]
kind = "command"
name = "{name}"
summary = "Says hello"
"""


@dataclass(frozen=True)
class Plugin:
    """A plugin's distribution file, ready to upload."""

    project: str
    version: str
    filename: str
    content: bytes

    @property
    def sha256(self) -> str:
        """Digest, hexadecimal."""
        return hashlib.sha256(self.content).hexdigest()


def plugin_wheel(
    name: str | None = None,
    version: str = "1.0",
    *,
    files: Mapping[str, bytes] | None = None,
    requires: Sequence[str] = (),
    tag: str = "py3-none-any",
) -> Plugin:
    """Return a good plugin wheel; every call without a name makes a new project."""
    short = name or f"t{uuid.uuid4().hex[:10]}"
    project, package = f"envcli-plugin-{short}", f"envcli_plugin_{short.replace('-', '_')}"
    content = {
        f"{package}/__init__.py": b"",
        f"{package}/plugin.py": b"class Plugin:\n    pass\n",
        f"{package}/plugin.toml": MANIFEST.format(name=short).encode(),
        **(files or {}),
    }
    entry = f"[envcli.plugins]\n{short} = {package}.plugin:Plugin\n"
    filename, data, _ = build_wheel(
        project, version, content, requires=tuple(requires), entry_points=entry, tag=tag
    )
    return Plugin(project, version, filename, data)


@dataclass
class IndexServer:
    """A running index and everything that tests do with one."""

    config: IndexConfig
    issuer: OidcIssuer
    root_sha256: str
    reviewer_key: Path
    reviewer_keyid: str
    processes: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)
    _sigstore: PrivateSigstore | None = None

    @property
    def simple_url(self) -> str:
        """What pip and uv get as index URL."""
        return f"{self.config.public_url}/simple/"

    @property
    def upload_url(self) -> str:
        """What twine and uv get as upload URL."""
        return f"{self.config.devpi_url}/upload/"

    def start(self, *names: str) -> None:
        """Start processes and wait until they answer or beat."""
        for name in names:
            command = [sys.executable, "-m", "envcli_index.cli", name, "--data", str(self.config.data)]
            if name in HTTP_PROCESSES:
                command += ["--port", str(self._port(name))]
            else:
                (self.config.run_dir / f"{name}.heartbeat").unlink(missing_ok=True)
            with (self.config.data / f"{name}.stderr").open("ab") as output:
                self.processes[name] = subprocess.Popen(
                    command, stdout=output, stderr=output, stdin=subprocess.DEVNULL
                )
        for name in names:
            self.wait_ready(name)

    def wait_ready(self, name: str) -> None:
        """Wait until a process answers its health check or touches its heartbeat."""
        deadline = time.monotonic() + START_SECONDS
        while not self._is_ready(name):
            if self.processes[name].poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"{name} did not start:\n{self.log(name)[-3000:]}")
            time.sleep(0.05)

    def stop(self, name: str, number: int = signal.SIGTERM) -> int:
        """End a process and return its exit status."""
        process = self.processes.pop(name)
        process.send_signal(number)
        return process.wait(timeout=15)

    def log(self, name: str) -> str:
        """Return what a process wrote."""
        return (self.config.data / f"{name}.stderr").read_text(errors="replace")

    def _port(self, name: str) -> int:
        urls = {
            "devpi": self.config.devpi_url,
            "serve": self.config.public_url,
            "authority": self.config.authority_url,
            "log": self.config.log_url,
        }
        return int(urls[name].rsplit(":", 1)[1])

    def _is_ready(self, name: str) -> bool:
        if name not in HTTP_PROCESSES:
            return (self.config.run_dir / f"{name}.heartbeat").exists()
        try:
            url = f"http://127.0.0.1:{self._port(name)}/healthz"
            return httpx.get(url, trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    def token(self, publisher: str | None = PUBLISHER, **changes: Any) -> str:
        """Return an API token."""
        return self.issuer.api_token(publisher, **changes)

    def attest(self, plugin: Plugin, publisher: str = PUBLISHER) -> str:
        """Return the PEP 740 list of a file, signed as a publisher."""
        if self._sigstore is None:
            self._sigstore = PrivateSigstore(self.config.data)
        identity = self.issuer.identity(publisher)
        return json.dumps([self._sigstore.attest(plugin.filename, plugin.sha256, identity, self.issuer.url)])

    def upload(
        self,
        plugin: Plugin,
        *,
        token: str | None = None,
        attestations: str | None = None,
        form: Mapping[str, str] | None = None,
        publisher: str = PUBLISHER,
    ) -> httpx.Response:
        """Upload a file as twine does; by default everything about it is good."""
        fields = {
            ":action": "file_upload",
            "protocol_version": "1",
            "metadata_version": "2.4",
            "name": plugin.project,
            "version": plugin.version,
            "filetype": "bdist_wheel",
            "pyversion": "py3",
            "sha256_digest": plugin.sha256,
        }
        listed = self.attest(plugin, publisher) if attestations is None else attestations
        if listed:
            fields["attestations"] = listed
        password = token if token is not None else self.token(publisher)
        return httpx.post(
            self.upload_url,
            data={**fields, **(form or {})},
            files={"content": (plugin.filename, plugin.content, "application/octet-stream")},
            auth=("__token__", password),
            timeout=60,
            trust_env=False,
        )

    def release(self, plugin: Plugin) -> Release:
        """Return the release as the database has it."""
        with read(connect(self.config)) as connection:
            return find_release(connection, plugin.project, plugin.version)

    def wait_state(self, plugin: Plugin, *states: str) -> Release:
        """Wait until a release is in one of these states."""
        deadline = time.monotonic() + WAIT_SECONDS
        while (found := self.release(plugin)).state not in states:
            if time.monotonic() > deadline:
                pytest.fail(f"{found.label} is {found.state} ({found.reason}):\n{self.log('gate')[-3000:]}")
            time.sleep(0.05)
        return found

    def wait_for(self, condition: Callable[[], object]) -> None:
        """Wait until something holds; the gate publishes a moment after it decided."""
        deadline = time.monotonic() + WAIT_SECONDS
        while not condition():
            if time.monotonic() > deadline:
                pytest.fail(f"waited in vain:\n{self.log('gate')[-3000:]}")
            time.sleep(0.05)

    def wait_page(self, plugin: Plugin) -> dict[str, Any]:
        """Wait until the simple page lists a file, and return its entry."""
        deadline = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < deadline:
            page = self.get_json(f"/simple/{plugin.project}/", "application/vnd.pypi.simple.v1+json")
            for entry in (page or {}).get("files", []):
                if entry["filename"] == plugin.filename:
                    found: dict[str, Any] = entry
                    return found
            time.sleep(0.05)
        pytest.fail(f"{plugin.filename} was not listed:\n{self.log('gate')[-3000:]}")

    def get_json(self, path: str, accept: str = "application/json") -> dict[str, Any] | None:
        """Return a JSON document of the public tree, or ``None``."""
        answer = httpx.get(f"{self.config.public_url}{path}", headers={"Accept": accept}, trust_env=False)
        return answer.json() if answer.status_code == 200 else None

    def vet(self, plugin: Plugin, result: str = "WARNED", undeclared: Sequence[str] = ()) -> None:
        """Sign what a worker would sign about a release, and wake the gate."""
        release = self.release(plugin)
        signer = load_signer(self.config.keys / "vetting" / "vetting.pem")
        digest = hashlib.sha256(release.manifest.encode()).hexdigest()
        predicates: dict[tuple[str, str], dict[str, Any]] = {
            ("vetting", TEST_RESULT): {
                "result": result,
                "configuration": [],
                "passedTests": [],
                "failedTests": [],
                "envcli": {"closure_sha256": self.closure_digest(release)},
            },
            ("capability", CAPABILITY): {
                "manifest": release.manifest,
                "manifest_sha256": digest,
                "observed": [],
                "undeclared": list(undeclared),
                "unused": [],
            },
            ("vulns", VULNS): {"scanner": {"uri": "https://example.org", "result": []}, "metadata": {}},
        }
        with write(connect(self.config)) as connection:
            for (name, kind), predicate in predicates.items():
                envelope = sign_statement(Statement(kind, release.all_subjects, predicate), signer)
                sha256 = hashlib.sha256(envelope).hexdigest()
                save_envelope(self.config.statements, sha256, envelope)
                add_statement(connection, release.id, name, kind, sha256, signer.public_key.keyid)
            queue.enqueue(connection, "gate", {"release": release.id}, f"release-{release.id}")

    def closure_digest(self, release: Release) -> str:
        """Return the digest of the dependencies that the database lists for a release."""
        with read(connect(self.config)) as connection:
            return closure_digest(ClosureFile(**entry) for entry in closure_of(connection, release.id))

    def decide(self, plugin: Plugin, *, approve: bool = True, reason: str = "looks right") -> str:
        """Sign and send a reviewer's decision, once the evidence is published."""
        record = f"/vetting/{plugin.project}/{plugin.version}.json"
        self.wait_for(lambda: (self.get_json(record) or {}).get("state") == "needs-human")
        wanted = f"{plugin.project}=={plugin.version}"
        return decide(
            self.config.public_url, self.reviewer_key, wanted, approve=approve, reason=reason, rules=[]
        )

    def publish(self, plugin: Plugin, publisher: str = PUBLISHER) -> dict[str, Any]:
        """Take a plugin the whole way, and return its entry on the simple page."""
        answer = self.upload(plugin, publisher=publisher)
        assert answer.status_code == 200, answer.text
        self.vet(plugin)
        self.wait_state(plugin, "needs-human")
        self.decide(plugin)
        self.wait_state(plugin, "released")
        return self.wait_page(plugin)

    def wait_event(self, kind: str, subject: str) -> None:
        """Wait until the feed tells something."""
        self.wait_for(lambda: any((one["type"], one["subject"]) == (kind, subject) for one in self.events()))

    def events(self) -> list[dict[str, Any]]:
        """Return the feed's events, oldest first."""
        head = self.get_json("/feed/head.json") or {"seq": 0}
        envelopes = [self.get_json(f"/feed/events/{number}.json") for number in range(1, head["seq"] + 1)]
        return [json.loads(base64.b64decode(one["payload"])) for one in envelopes if one]


@contextmanager
def automatic_layout(index: IndexServer) -> Iterator[None]:
    """Let clean passes through without a person while the block runs, as an operator may."""
    document = json.loads(default_layout())
    decision = next(step for step in document["steps"] if step["name"] == "decision")
    decision["unless"] = {"step": "vet", "field": "result", "allowed": ["PASSED"]}
    TufPublisher(index.config).publish({LAYOUT_TARGET: json.dumps(document).encode()})
    try:
        yield
    finally:
        TufPublisher(index.config).publish({LAYOUT_TARGET: default_layout()})


@contextmanager
def running_index(data: Path, *names: str, **settings: Any) -> Iterator[IndexServer]:
    """Make an index in a new folder, run the named processes, and stop them at the end."""
    with running_issuer() as issuer:
        server = new_index_server(data, issuer, **settings)
        try:
            server.start(*(names or ("devpi", "serve", "timestamp", "gate")))
            yield server
        finally:
            for process in server.processes.values():
                process.terminate()
            for process in server.processes.values():
                process.wait(timeout=15)


def new_index_server(data: Path, issuer: OidcIssuer, **settings: Any) -> IndexServer:
    """Make an index with one enrolled reviewer; no process runs yet."""
    wheels = data.parent / f"{data.name}-first-party"
    wheels.mkdir(parents=True)
    for name in ("envcli-sdk", "pluggy"):
        filename, content, _ = build_wheel(name, "0.1.0", {f"{name.replace('-', '_')}/__init__.py": b""})
        (wheels / filename).write_bytes(content)
    ports = {name: f"http://127.0.0.1:{free_port()}" for name in ("public", "devpi", "authority", "log")}
    config = IndexConfig(
        data=data,
        web_url=issuer.url,
        first_party=data / "first-party",
        **{f"{name}_url": url for name, url in ports.items()},
        **settings,
    )
    root_sha256 = initialise(config, wheels)
    keyid, public = keygen(data.parent / f"{data.name}-reviewer.pem")
    enrol(connect(config), "Rita Reviewer", public.read_text())
    return IndexServer(config, issuer, root_sha256, public.with_suffix(""), keyid)


_shared: list[IndexServer] = []


@pytest.fixture(scope="session")
def index_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[IndexServer]:
    """An index that lives as long as the test session (of one xdist worker), whichever modules import this."""
    if _shared:
        yield _shared[0]
        return
    with running_index(tmp_path_factory.mktemp("index") / "data") as server:
        _shared.append(server)
        try:
            yield server
        finally:
            _shared.clear()
