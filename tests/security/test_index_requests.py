"""Requests that no honest client sends: headers, paths and names that try to reach a log, a hash or a second file."""

import base64
import signal
import socket
import subprocess
import sys
import time
from http import HTTPStatus
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from common.index_server import IndexServer, Plugin, index_server, new_index_server, plugin_wheel
from common.oidc_issuer import running_issuer
from envcli_index.writing import _answer
from envcli_vetting.admission.errors import AdmissionError
from envcli_vetting.admission.metadata import parse_filename

__all__ = ["index_server"]


def raw(url: str, head: bytes) -> bytes:
    """Send bytes that an HTTP library would not, and return the answer."""
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(head + b"\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        answer = b""
        while part := connection.recv(65536):
            answer += part
    return answer


@pytest.mark.parametrize("value", [b"Basic \xc3\xa9", b"Basic \xff\xfe", b"Basic", b"Basic ====", b"\xe9"])
def test_odd_credentials_are_refused_and_break_nothing(index_server: IndexServer, value: bytes) -> None:
    answer = raw(index_server.config.devpi_url, b"POST /upload/ HTTP/1.1\r\nAuthorization: " + value)
    assert answer.startswith(b"HTTP/1.1 401 token-invalid")


def test_path_cannot_forge_a_line_of_the_log(index_server: IndexServer) -> None:
    mark = uuid4().hex
    forged = f"a/b/c%0Adevpi%20INFO%20accepted%20{mark}"
    answer = raw(index_server.config.devpi_url, f"GET /_/staged/{forged} HTTP/1.1".encode())
    assert answer.startswith(b"HTTP/1.1 401 ")
    lines = [line for line in index_server.log("devpi").splitlines() if mark in line]
    assert len(lines) == 1
    assert "refused" in lines[0]


def test_refusal_is_one_line_whatever_it_quotes() -> None:
    answer = _answer(HTTPStatus.BAD_REQUEST, "rule: a\r\nSet-Cookie: x\x00\u2028 y" + "z" * 10_000)
    assert "\n" not in answer.status
    assert len(answer.status) < 600
    assert answer.text.count("\n") == 1


@pytest.mark.parametrize("header", ["Authorization", "X-Devpi-Auth"])
def test_nobody_can_make_devpi_hash_passwords(index_server: IndexServer, header: str) -> None:
    credentials = base64.b64encode(b"root:wrong").decode()
    value = f"Basic {credentials}" if header == "Authorization" else credentials
    answer = httpx.get(f"{index_server.config.devpi_url}/+api", headers={header: value})
    assert answer.json()["result"]["authstatus"] == ["noauth", "", []]


@pytest.mark.parametrize(
    "filename",
    [
        "envcli_plugin_x-1.0-1<b>-py3-none-any.whl",
        "envcli_plugin_x-1.0-1#sha256=0-py3-none-any.whl",
        "envcli_plugin_x-1.0-1?a-py3-none-any.whl",
        "envcli_plugin_x-1.0-1%2f..-py3-none-any.whl",
        "envcli_plugin_x-1.0-1 a-py3-none-any.whl",
        "envcli_plugin_x-1.0-1\\a-py3-none-any.whl",
        "Envcli_Plugin_x-1.0-py3-none-any.whl",
        "envcli.plugin.x-1.0-py3-none-any.whl",
        "envcli_plugin__x-1.0-py3-none-any.whl",
        "envcli_plugin_x-1.00-py3-none-any.whl",
        "envcli_plugin_x-v1.0-py3-none-any.whl",
        "envcli_plugin_x-1.0a01-py3-none-any.whl",
        "envcli_plugin_x-1.0.TAR.gz",
        "envcli-plugin-x-1.0.tar.gz",
        "envcli_plugin_x-1.0_1.tar.gz",
    ],
)
def test_second_spellings_of_a_file_name_are_refused(filename: str) -> None:
    with pytest.raises(AdmissionError) as caught:
        parse_filename(filename)
    assert caught.value.rule == "filename-invalid"


def test_usual_file_names_are_accepted() -> None:
    for name in (
        "envcli_plugin_x-1.0-py3-none-any.whl",
        "envcli_plugin_x_y-1!2.0rc1-2-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
        "envcli_plugin_x-1.0.post1.tar.gz",
    ):
        assert parse_filename(name).project.startswith("envcli-plugin-x")


def test_revoked_token_uploads_nothing_over_http(index_server: IndexServer) -> None:
    jti = uuid4().hex
    token = index_server.token(jti=jti)
    first = plugin_wheel()
    assert index_server.upload(first, token=token).status_code == 200
    index_server.issuer.revoked.append(jti)
    index_server.stop("devpi")  # what it remembered for a minute is gone, its file of it too
    (index_server.config.run_dir / "issuer.json").unlink()
    index_server.start("devpi")
    answer = index_server.upload(plugin_wheel(), token=token)
    assert (answer.status_code, answer.text.split(":")[0]) == (401, "token-invalid")
    assert "revoked" in answer.text
    assert index_server.upload(plugin_wheel()).status_code == 200


def test_writes_are_refused_when_revocations_are_older_than_five_minutes(tmp_path: Path) -> None:
    with running_issuer() as issuer:
        server = new_index_server(tmp_path / "index", issuer)
        server.start("devpi")
        try:
            accepted = server.upload(plugin_wheel())
            assert accepted.status_code == 200, accepted.text
            age_revocations(server)
        finally:
            server.stop("devpi")
        late, attested = plugin_wheel(), ""
        attested, token = server.attest(late), server.token()
    refused_while_the_site_is_down(server, late, attested, token)


def age_revocations(server: IndexServer) -> None:
    """Put a signed list of revoked tokens that is six minutes old into the file that survives a restart."""
    import json

    cache = server.config.run_dir / "issuer.json"
    old = int(time.time()) - 360
    signed = server.issuer.signed({"iss": server.issuer.url, "iat": old, "exp": old + 3600, "revoked": []})
    cache.write_text(json.dumps(json.loads(cache.read_text()) | {"revoked": {"jwt": signed}}))


def refused_while_the_site_is_down(server: IndexServer, plugin: Plugin, attested: str, token: str) -> None:
    """The rule, over HTTP."""
    server.start("devpi")
    try:
        answer = server.upload(plugin, token=token, attestations=attested)
        assert (answer.status_code, answer.text.split(":")[0]) == (503, "token-revocation-stale")
        assert answer.headers["Retry-After"] == "60"
    finally:
        server.stop("devpi")


def test_devpi_ends_in_order_while_it_starts(tmp_path: Path) -> None:
    with running_issuer() as issuer:
        server = new_index_server(tmp_path / "index", issuer)
    command = [sys.executable, "-m", "envcli_index.cli", "devpi", "--data", str(server.config.data)]
    port = server.config.devpi_url.rsplit(":", 1)[1]
    for pause in (0.0, 0.3, 0.8):
        process = subprocess.Popen(
            [*command, "--port", port], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        assert process.stdout is not None
        process.stdout.readline()  # the handler stands before devpi says its first word
        time.sleep(pause)
        process.send_signal(signal.SIGTERM)
        output = process.communicate(timeout=15)[0].decode()
        assert (process.returncode, "Traceback" in output) == (0, False), output


def test_settings_and_database_are_private_in_a_folder_that_was_open(tmp_path: Path) -> None:
    data = tmp_path / "index"
    data.mkdir(mode=0o755)
    with running_issuer() as issuer:
        new_index_server(data, issuer)
    assert data.stat().st_mode & 0o077 == 0
    assert (data / "config.toml").stat().st_mode & 0o077 == 0
