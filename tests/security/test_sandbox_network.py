"""The network as a guest sees it: unmodified libraries reach what was granted, and nothing reaches the rest."""

import http.server
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from envcli_sandbox import Mount, NetworkConnector, Reply, Tier
from security.hostile.harness import TIERS, Attempt, attack, needs

pytestmark = pytest.mark.parametrize("tier", TIERS)
PAGE = b"the page"


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers every path with the same page."""

    def do_GET(self) -> None:
        """Send the page."""
        self.send_response(200)
        self.send_header("Content-Length", str(len(PAGE)))
        self.end_headers()
        self.wfile.write(PAGE)

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


class OnlyNetwork:
    """A broker that knows connections."""

    def __init__(self, *grants: str) -> None:
        """Grant ``grants``."""
        self._connector = NetworkConnector(grants, timeout_seconds=5)

    def handle(self, ask: str, params: Mapping[str, Any]) -> Reply:
        """Decide connections."""
        return self._connector.handle(params) if ask == "network.connect" else Reply(denied="no")

    def notice(self, kind: str, payload: Mapping[str, Any]) -> None:
        """Hear nothing."""


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file with a key and a certificate of its own for localhost."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("tls") / "localhost.pem"
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file.write_bytes(private + built.public_bytes(pem))
    return file


@pytest.fixture(scope="module")
def plain() -> Iterator[int]:
    """Return the port of an HTTP server."""
    yield from _serve(None)


@pytest.fixture(scope="module")
def secure(certificate: Path) -> Iterator[int]:
    """Return the port of an HTTPS server for localhost."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    yield from _serve(context)


def _serve(context: ssl.SSLContext | None) -> Iterator[int]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def _use(tier: Tier, what: str, params: Mapping[str, Any], *grants: str, **changes: Any) -> Attempt:
    needs(tier)
    return attack(tier, "network", {"what": what, **params}, broker=OnlyNetwork(*grants), **changes)


def test_a_granted_page_is_fetched_and_audited(tier: Tier, plain: int) -> None:
    attempt = _use(tier, "fetch", {"url": f"http://localhost:{plain}/"}, f"localhost:{plain}")
    assert attempt.evidence == PAGE.decode()
    [asked] = attempt.audit.named("sandbox.asked")
    assert (asked["ask"], asked["subject"], asked["verdict"]) == (
        "network.connect",
        f"localhost:{plain}",
        "allowed",
    )


def test_tls_works_from_end_to_end(tier: Tier, secure: int, certificate: Path) -> None:
    params = {"url": f"https://localhost:{secure}/", "authority": str(certificate)}
    attempt = _use(tier, "fetch", params, f"localhost:{secure}", mounts=(Mount(certificate),))
    assert attempt.evidence == PAGE.decode()


def test_http_client_sees_the_true_peer(tier: Tier, plain: int) -> None:
    attempt = _use(tier, "fetch_low", {"host": "127.0.0.1", "port": plain}, f"127.0.0.1:{plain}")
    assert attempt.evidence == f"{plain} {PAGE.decode()}"


def test_asyncio_works(tier: Tier, plain: int) -> None:
    attempt = _use(tier, "fetch_asynchronously", {"host": "127.0.0.1", "port": plain}, f"127.0.0.1:{plain}")
    assert attempt.evidence == PAGE.decode()


def test_another_port_is_denied_and_audited(tier: Tier, plain: int) -> None:
    attempt = _use(tier, "fetch", {"url": f"http://localhost:{plain}/"}, f"localhost:{plain + 1}")
    assert attempt.evidence is None
    [asked] = attempt.audit.named("sandbox.asked")
    assert asked["verdict"] == "denied"
    assert "not granted" in asked["reason"]


def test_a_wildcard_never_reaches_this_machine(tier: Tier, plain: int) -> None:
    attempt = _use(tier, "fetch", {"url": f"http://a.b.localhost:{plain}/"}, f"*.b.localhost:{plain}")
    assert attempt.evidence is None
    [asked] = attempt.audit.named("sandbox.asked")
    assert asked["verdict"] in {"denied", "failed"}


def test_a_refusing_server_is_told_as_such(tier: Tier) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        attempt = _use(tier, "fetch", {"url": f"http://127.0.0.1:{port}/"}, f"127.0.0.1:{port}")
    assert attempt.error is not None
    assert "refused" in attempt.error.detail
    assert attempt.audit.named("sandbox.asked")[0]["verdict"] == "failed"


def test_names_are_not_resolved_for_the_guest(tier: Tier) -> None:
    attempt = _use(tier, "look_up", {"host": "secret-data.example.com"})
    assert attempt.error is not None
    assert attempt.error.type_name == "gaierror"


def test_a_granted_connection_cannot_be_turned_elsewhere(tier: Tier, plain: int) -> None:
    with socket.socket() as forbidden:
        forbidden.bind(("127.0.0.1", 0))
        forbidden.listen()
        forbidden.settimeout(0)
        params = {"host": "127.0.0.1", "port": plain, "forbidden": forbidden.getsockname()[1]}
        attempt = _use(tier, "reuse_connection", params, f"127.0.0.1:{plain}")
        assert attempt.evidence == []
        with pytest.raises(BlockingIOError):
            forbidden.accept()
