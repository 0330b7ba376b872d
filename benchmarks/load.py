"""Servers under a bounded load on loopback: CPU microseconds per request and requests per second."""

import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.measure import plain_environment

START_SECONDS = 60
ACCEPT_JSON = "application/vnd.pypi.simple.v1+json"


@dataclass(frozen=True)
class Load:
    """What a bounded run of requests cost.

    Attributes:
        cpu_micros: CPU of the server's process tree per request, microseconds.
        per_second: requests per second that one client got.
    """

    cpu_micros: float
    per_second: float


def free_port() -> int:
    """Return a free TCP port on 127.0.0.1."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def running(command: Sequence[str | Path], port: int, folder: Path) -> Iterator[psutil.Process]:
    """Run a server until the block ends; it must listen on ``port`` within a minute."""
    log = folder / f"server-{port}.log"
    with log.open("w") as out:
        words = [str(word) for word in command]
        process = subprocess.Popen(words, stdout=out, stderr=out, env=plain_environment(), cwd=folder)
    try:
        deadline = time.monotonic() + START_SECONDS
        while not _listens(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{words[0]} does not listen on {port}:\n{log.read_text()[-2000:]}")
            time.sleep(0.05)
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def tree_cpu_seconds(root: psutil.Process) -> float:
    """Return the CPU seconds that a process and its living children have used."""
    total = 0.0
    for process in (root, *root.children(recursive=True)):
        times = process.cpu_times()
        total += times.user + times.system
    return total


def measure(server: psutil.Process, port: int, paths: Sequence[str], requests: int) -> Load:
    """Ask for ``paths`` in turn, ``requests`` times in all, over one connection that is opened again when closed."""
    client = _Client(port)
    for path in paths[:50]:
        client.get(path)
    before, started = tree_cpu_seconds(server), time.monotonic()
    for number in range(requests):
        client.get(paths[number % len(paths)])
    elapsed = time.monotonic() - started
    return Load((tree_cpu_seconds(server) - before) / requests * 1e6, requests / elapsed)


class _Client:
    """The smallest HTTP client that keeps its connection: it must not be what is measured."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket: socket.socket | None = None

    def get(self, path: str) -> bytes:
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self._port), 30)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(
            f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: {ACCEPT_JSON}\r\n\r\n".encode()
        )
        return self._answer(self._socket)

    def _answer(self, connection: socket.socket) -> bytes:
        received = b""
        while b"\r\n\r\n" not in received:
            received += self._more(connection)
        head, _, body = received.partition(b"\r\n\r\n")
        assert head.split(b" ", 2)[1] == b"200", head
        lower = head.lower()
        if b"content-length:" in lower:
            length = int(lower.split(b"content-length:")[1].split(b"\r\n")[0])
            while len(body) < length:
                body += self._more(connection)
        else:
            while not body.endswith(b"0\r\n\r\n"):
                body += self._more(connection)
        if b"connection: close" in lower:
            connection.close()
            self._socket = None
        return body

    @staticmethod
    def _more(connection: socket.socket) -> bytes:
        chunk = connection.recv(65536)
        if not chunk:
            raise RuntimeError("the server closed the connection in the middle of an answer")
        return chunk
