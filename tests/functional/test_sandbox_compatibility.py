"""What honest plugins need works inside the sandbox, in both tiers, with unmodified libraries."""

import json
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from common.require import require
from common.tls import server_certificate
from envcli_sandbox import (
    Limits,
    Mount,
    NetworkConnector,
    NullAudit,
    Reply,
    SandboxRequest,
    Tier,
    open_sandbox,
)

GUEST = """
import importlib

def serve(channel, entry):
    works = importlib.import_module("works")
    while (call := channel.receive()) is not None:
        try:
            channel.answer(call.id, getattr(works, call.method)(**call.params))
        except Exception as error:
            channel.fail(call.id, type(error).__name__, str(error))
"""
WORKS = """
def with_requests(url, ca):
    import requests
    return requests.get(url, verify=ca or True, timeout=10).json()

def with_urllib3(url, ca):
    import urllib3
    return urllib3.PoolManager(ca_certs=ca or None).request("GET", url, timeout=10).json()

def with_httpx(url, ca):
    import httpx, ssl
    verify = ssl.create_default_context(cafile=ca) if ca else True
    return httpx.get(url, verify=verify, timeout=10).json()

def with_asyncio(url, ca):
    import asyncio, json, ssl
    from urllib.parse import urlsplit
    async def fetch():
        parts = urlsplit(url)
        context = ssl.create_default_context(cafile=ca) if ca else None
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port, ssl=context)
        writer.write(b"GET / HTTP/1.0\\r\\nHost: localhost\\r\\n\\r\\n")
        answer = await reader.read()
        writer.close()
        return json.loads(answer.split(b"\\r\\n\\r\\n", 1)[1])
    return asyncio.run(fetch())

def threads(**_):
    from concurrent.futures import ThreadPoolExecutor
    with ThreadPoolExecutor(8) as pool:
        return sum(pool.map(lambda number: number * number, range(100)))

def database(**_):
    import sqlite3, tempfile
    with tempfile.TemporaryDirectory() as folder:
        with sqlite3.connect(folder + "/a.db") as connection:
            connection.execute("create table t (n)")
            connection.executemany("insert into t values (?)", [(n,) for n in range(10)])
            return connection.execute("select sum(n) from t").fetchone()[0]

def files(**_):
    import pathlib, shutil, tempfile
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "a").mkdir()
        (folder / "a/b").write_text("hello")
        shutil.copytree(folder / "a", folder / "c")
        shutil.copy2(folder / "c/b", folder / "d")
        shutil.move(folder / "d", folder / "e")
        return (folder / "e").read_text()

def time_zones(**_):
    from datetime import datetime
    from zoneinfo import ZoneInfo
    return datetime(2026, 7, 1, tzinfo=ZoneInfo("Europe/Zurich")).isoformat()

def cryptography(**_):
    from cryptography.fernet import Fernet
    key = Fernet(Fernet.generate_key())
    return key.decrypt(key.encrypt(b"sealed")).decode()
"""
LOCAL = {
    "threads": 328350,
    "database": 45,
    "files": "hello",
    "time_zones": "2026-07-01T00:00:00+02:00",
    "cryptography": "sealed",
}


class Answers(BaseHTTPRequestHandler):
    """Answers every question with the same JSON."""

    def do_GET(self) -> None:
        body = json.dumps({"hello": "plugin"}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class Connects:
    """Grants the network to one address and nothing else."""

    def __init__(self, grant: str) -> None:
        self._connector = NetworkConnector([grant])

    def handle(self, ask: str, params: Any) -> Reply:
        """Answer ``network.connect``; refuse the rest."""
        return self._connector.handle(params) if ask == "network.connect" else Reply(denied="not granted")

    def notice(self, kind: str, payload: Any) -> None:
        """Drop the notice."""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a throw-away certificate for localhost and the authority that signed it."""
    folder = tmp_path_factory.mktemp("tls")
    server_certificate(folder)
    return folder


@pytest.fixture(scope="module", params=["http", "https"])
def server(request: pytest.FixtureRequest, authority: Path) -> Iterator[tuple[str, str]]:
    """A loopback server; yields its address and the file of its authority, if any."""
    listening = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    ca = ""
    if request.param == "https":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(authority / "server.pem", authority / "server.key")
        listening.socket = context.wrap_socket(listening.socket, server_side=True)
        ca = str(authority / "ca.pem")
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    yield f"{request.param}://localhost:{listening.server_port}/", ca
    listening.shutdown()
    listening.server_close()


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The plugin: one module with a function per need."""
    folder = tmp_path_factory.mktemp("tree")
    (folder / "guest.py").write_text(GUEST)
    (folder / "works.py").write_text(WORKS)
    return folder


def call(tier: Tier, tree: Path, authority: Path, method: str, url: str = "", ca: str = "") -> Any:
    """Call one function of the plugin in a sandbox of its own."""
    if tier is Tier.HARD:
        require("bwrap")
    request = SandboxRequest(
        tree=tree,
        entry="",
        guest="guest:serve",
        guest_path=libraries(),
        mounts=(Mount(authority),),
        limits=Limits(cpu_seconds=30),
        floor=tier,
        prefer=tier,
    )
    grant = url.rsplit("://", maxsplit=1)[-1].rstrip("/") or "localhost:1"
    with open_sandbox(request, Connects(grant), NullAudit()) as sandbox:
        return sandbox.call(method, {"url": url, "ca": ca})


def libraries() -> Path:
    """Return the folder that holds the installed third-party libraries."""
    import requests

    return Path(requests.__file__).parent.parent


@pytest.mark.parametrize("tier", list(Tier))
@pytest.mark.parametrize("client", ["with_requests", "with_urllib3", "with_httpx", "with_asyncio"])
def test_network_clients_work_unchanged(
    tier: Tier, client: str, tree: Path, authority: Path, server: tuple[str, str]
) -> None:
    assert call(tier, tree, authority, client, *server) == {"hello": "plugin"}


@pytest.mark.parametrize("tier", list(Tier))
@pytest.mark.parametrize("need", sorted(LOCAL))
def test_local_needs_work_unchanged(tier: Tier, need: str, tree: Path, authority: Path) -> None:
    assert call(tier, tree, authority, need) == LOCAL[need]
