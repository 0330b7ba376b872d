"""Everything that devpi would answer is closed; internal routes and paths hold."""

import httpx
import pytest
from common.index_server import IndexServer, index_server, plugin_wheel
from common.oidc_issuer import PUBLISHER

__all__ = ["index_server"]

OPEN = [("GET", "/+api"), ("GET", "/+status"), ("GET", "/healthz")]
CLOSED = [
    ("GET", "/"),
    ("GET", "/root"),
    ("GET", "/root/deps"),
    ("GET", "/root/deps/+simple/"),
    ("GET", "/root/deps/+api"),
    ("GET", f"/{PUBLISHER}"),
    ("GET", f"/{PUBLISHER}/staging"),
    ("GET", f"/{PUBLISHER}/staging/+simple/"),
    ("GET", f"/{PUBLISHER}/staging/+simple/envcli-plugin-x/"),
    ("PUT", "/intruder"),
    ("PUT", "/root/intruder"),
    ("PATCH", "/root"),
    ("DELETE", f"/{PUBLISHER}"),
    ("POST", "/+login"),
    ("POST", "/+api"),
    ("GET", "/+authcheck"),
    ("POST", f"/{PUBLISHER}/staging/"),
    ("PUSH", f"/{PUBLISHER}/staging"),
    ("POST", f"/{PUBLISHER}/staging/+f/000/0/x.whl"),
    ("GET", "/+changelog/1"),
    ("GET", "/upload/"),
    ("PUT", "/upload/"),
    ("GET", "/%2Bapi/../root"),
    ("GET", "/vetting/../../config.toml"),
    ("GET", "/vetting/x/..%2f..%2f..%2fconfig.json"),
]


@pytest.mark.parametrize(("method", "path"), OPEN)
def test_open_documents(index_server: IndexServer, method: str, path: str) -> None:
    answer = httpx.request(
        method, index_server.config.devpi_url + path, headers={"Accept": "application/json"}
    )
    assert answer.status_code == 200


@pytest.mark.parametrize(("method", "path"), CLOSED)
def test_closed_routes(index_server: IndexServer, method: str, path: str) -> None:
    body = {"json": {"password": "intruder12345"}} if method in {"PUT", "POST", "PATCH"} else {}
    answer = httpx.request(method, index_server.config.devpi_url + path, **body)
    assert answer.status_code == 404, answer.text


def test_closed_routes_stay_closed_with_headers_that_devpi_honours(index_server: IndexServer) -> None:
    base = index_server.config.devpi_url
    for headers in (
        {"X-Outside-Url": f"{base}/root"},
        {"X-Devpi-Replica-Uuid": "1"},
        {"User-Agent": "pip/26.0"},
        {"X-HTTP-Method-Override": "PUT"},
        {"Accept": "application/vnd.pypi.simple.v1+json"},
    ):
        assert httpx.get(f"{base}/root/deps/+simple/", headers=headers).status_code == 404


def test_internal_routes_need_the_right_process(index_server: IndexServer) -> None:
    plugin = plugin_wheel()
    assert index_server.upload(plugin).status_code == 200
    base = index_server.config.devpi_url
    staged = f"{base}/_/staged/{plugin.project}/{plugin.version}/{plugin.filename}"
    worker = (index_server.config.credentials / "worker.token").read_text()
    digest = (index_server.config.credentials / "gate.sha256").read_text()
    for token in ("x", digest, index_server.token()):
        assert httpx.get(staged, headers={"Authorization": f"Bearer {token}"}).status_code == 401
    assert httpx.get(staged).status_code == 401
    assert httpx.get(staged, headers={"Authorization": f"Bearer {worker}"}).content == plugin.content
    for path in ("/_/promote", "/_/deps/x/1/x-1-py3-none-any.whl"):
        answer = httpx.post(base + path, headers={"Authorization": f"Bearer {worker}"}, content=b"{}")
        assert answer.status_code == 401


def test_secrets_are_not_readable_by_others(index_server: IndexServer) -> None:
    data = index_server.config.data
    secret = [*data.glob("keys/*/*.pem"), *data.glob("credentials/*"), data / "devpi/.secret"]
    assert len(secret) > 10
    for path in secret:
        assert path.stat().st_mode & 0o077 == 0, path
    for folder in (data, data / "keys", data / "credentials"):
        assert folder.stat().st_mode & 0o077 == 0, folder


def test_logs_hold_no_token(index_server: IndexServer) -> None:
    plugin, token = plugin_wheel(), index_server.token()
    index_server.upload(plugin, token=token)
    index_server.upload(plugin, token=token[:-3] + "abc")
    written = index_server.log("devpi")
    assert plugin.filename in written
    assert token.removeprefix("envcli-")[:60] not in written


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b"\xff", b'{"payload":"x","payloadType":"y","signatures":[]}']
)
def test_malformed_decisions_are_refused(index_server: IndexServer, body: bytes) -> None:
    for path in ("/_/decisions", "/_/takedowns"):
        answer = httpx.post(index_server.config.devpi_url + path, content=body)
        assert answer.status_code == 400
        assert len(answer.text.strip().splitlines()) == 1


def test_public_tree_serves_nothing_outside_itself(index_server: IndexServer) -> None:
    base = index_server.config.public_url
    for path in (
        "/../config.toml",
        "/..%2fconfig.toml",
        "/simple/../../index.db",
        "/.hidden",
        "/%2e%2e/config.toml",
    ):
        with httpx.Client() as client:
            request = client.build_request("GET", base + "/x")
            request.url = request.url.copy_with(raw_path=path.encode())
            assert client.send(request).status_code in {400, 404}
