"""An index or somebody on the way to it cannot keep a client waiting, fill its memory, or send it elsewhere."""

import gzip
import hashlib
import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from envcli_host.errors import MarketplaceError, VerificationError
from envcli_host.marketplace import transport as transport_module
from envcli_host.marketplace.transport import Transport

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: "
PATIENCE = 0.4


@contextmanager
def served(answer: Callable[[socket.socket], None]) -> Iterator[Transport]:
    """A transport towards a server that does with each connection what the test says."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection, suppress(OSError):
                    connection.recv(65536)
                    answer(connection)

    threading.Thread(target=serve, daemon=True).start()
    with Transport(f"http://127.0.0.1:{listener.getsockname()[1]}/", "index test") as transport:
        yield transport
    listener.close()


def drip(connection: socket.socket, content: bytes, seconds: float = 0.02) -> None:
    for byte in content:
        connection.sendall(bytes([byte]))
        time.sleep(seconds)


def flood(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    for _ in itertools.repeat(None, 10_000):
        connection.sendall(b"x" * 65536)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport_module, "DOCUMENT_SECONDS", PATIENCE)


def test_a_dripping_body_is_given_up() -> None:
    def answer(connection: socket.socket) -> None:
        connection.sendall(HEAD + b"100\r\n\r\n")
        drip(connection, b"x" * 100)

    started = time.monotonic()
    with served(answer) as transport, pytest.raises(MarketplaceError, match="too slow"):
        transport.read("tuf/metadata/timestamp.json", 1000)
    assert time.monotonic() - started < 3 * PATIENCE


def test_a_dripping_head_is_given_up() -> None:
    def answer(connection: socket.socket) -> None:
        drip(connection, HEAD + b"1\r\nX-Padding: " + b"x" * 60 + b"\r\n\r\nx")

    with served(answer) as transport, pytest.raises(MarketplaceError, match="too slow"):
        transport.read("projects/index.json", 1000)


def test_an_announced_length_above_the_limit_is_refused_at_once(tmp_path: Path) -> None:
    def answer(connection: socket.socket) -> None:
        connection.sendall(HEAD + b"1001\r\n\r\n")
        drip(connection, b"x" * 100)

    with served(answer) as transport, pytest.raises(MarketplaceError, match="more than 1000 bytes"):
        transport.download("files/x", tmp_path / "x.whl", "0" * 64, 1000)
    assert list(tmp_path.iterdir()) == []


def test_a_huge_announced_length_buys_no_time(tmp_path: Path) -> None:
    def answer(connection: socket.socket) -> None:
        connection.sendall(HEAD + b"1000000000\r\n\r\n")
        drip(connection, b"x" * 100)

    with served(answer) as transport, pytest.raises(MarketplaceError, match="too slow"):
        transport.download("files/x", tmp_path / "x.whl", "0" * 64, 1 << 30)
    assert list(tmp_path.iterdir()) == []


def test_endless_answers_to_a_receipt_are_cut_off() -> None:
    with served(flood) as transport, pytest.raises(MarketplaceError, match="more than 1000 bytes"):
        transport.post("api/v1/receipts", {}, "token", 1000)


def test_nothing_is_decompressed(tmp_path: Path) -> None:
    bomb = gzip.compress(b"\0" * (32 << 20))

    def answer(connection: socket.socket) -> None:
        connection.sendall(
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n" + HEAD[17:] + b"%d\r\n\r\n" % len(bomb)
        )
        connection.sendall(bomb)

    with served(answer) as transport:
        assert transport.read("takedowns.json", 1 << 20) == bomb
        with pytest.raises(VerificationError, match="SHA-256"):
            transport.download("x", tmp_path / "x", hashlib.sha256(b"\0").hexdigest(), 1 << 30)


@pytest.mark.parametrize("target", ["file:///etc/passwd", "http://169.254.169.254/latest", "//127.0.0.1:1/"])
def test_redirects_are_not_followed(target: str) -> None:
    def answer(connection: socket.socket) -> None:
        connection.sendall(f"HTTP/1.1 302 Found\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n".encode())

    with served(answer) as transport, pytest.raises(MarketplaceError, match="answers HTTP 302"):
        transport.read("projects/index.json", 1000)
