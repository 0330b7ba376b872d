"""A reviewer's commands say in one line what went wrong, why, and what to do."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from common.ports import free_port
from envcli_index.cli import main
from envcli_index.reviewer_tools import keygen

RECORD = (
    b'{"project": "x", "version": "9", "files": [],'
    b' "statements": [{"predicateType": "https://in-toto.io/attestation/test-result/v0.1", "sha256": "a"}]}'
)


class Answers(BaseHTTPRequestHandler):
    """Answers as the address says: a status, or a record and a refusal of several lines."""

    def do_GET(self) -> None:
        case = self.path.split("/")[1]
        if case.isdecimal():
            self._answer(int(case), "text/plain", b"first\nsecond\n")
        else:
            self._answer(200, "application/json", b"<html>" if case == "page" else RECORD)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        kind = "text/html" if self.path.startswith("/html/") else "text/plain"
        self._answer(400, kind, b"refused: the key\nis \x1b[31mnot enrolled\r\nAsk\n")

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of a server that answers as its paths say."""
    running = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{running.server_port}"
    running.shutdown()
    running.server_close()


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run a command that must fail, and return its one line."""
    assert main(arguments) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    assert line.isprintable()
    return line


def decision(server: str, key: Path) -> tuple[str, ...]:
    return ("decide", "--server", server, "--key", str(key), "x==9", "--approve", "--reason", "fine")


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("404", "knows no release x 9. Check the name, the version and the server"),
        ("500", "answered about release x 9 with HTTP 500. Check that the server is the index"),
        ("302", "answered about release x 9 with HTTP 302. Check that the server is the index"),
        ("page", "with something that is no JSON. Give the address of the index, not of the site"),
        ("text", "the index refused: refused: the key is [31mnot enrolled Ask"),
    ],
)
def test_refusals_are_one_line_of_our_own(
    capsys: pytest.CaptureFixture[str], server: str, tmp_path: Path, case: str, words: str
) -> None:
    keygen(tmp_path / "key.pem")
    line = said(capsys, *decision(f"{server}/{case}", tmp_path / "key.pem"))
    assert words in line
    assert "mozilla" not in line


def test_pages_of_a_proxy_are_not_printed(
    capsys: pytest.CaptureFixture[str], server: str, tmp_path: Path
) -> None:
    keygen(tmp_path / "key.pem")
    line = said(capsys, *decision(f"{server}/html", tmp_path / "key.pem"))
    assert "HTTP 400 without a reason. See the log" in line


def test_a_stopped_index_is_named_with_its_remedy(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    keygen(tmp_path / "key.pem")
    line = said(capsys, *decision(f"http://127.0.0.1:{free_port()}", tmp_path / "key.pem"))
    assert "cannot be reached" in line
    assert line.endswith("Check the address, or start the index")


@pytest.mark.parametrize("content", [None, b"", b"-----BEGIN PRIVATE KEY-----\n"])
def test_a_reviewer_without_a_key_is_told_how_to_get_one(
    capsys: pytest.CaptureFixture[str], server: str, tmp_path: Path, content: bytes | None
) -> None:
    key = tmp_path / "none.pem"
    if content is not None:
        key.write_bytes(content)
        key.chmod(0o600)
    for arguments in (decision(server, key), ("takedown", *decision(server, key)[1:6], "--reason", "r")):
        line = said(capsys, *arguments)
        assert str(key) in line
        assert "envcli-index reviewer keygen" in line
        assert "backup" not in line
