"""The unmodified pip-audit asks our OSV API."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from envcli_index.trust.osv import handler, load_advisories

OWN = {
    "schema_version": "1.6.0",
    "id": "ENVCLI-2026-0001",
    "modified": "2026-01-01T00:00:00Z",
    "summary": "sends what it reads elsewhere",
    "affected": [
        {
            "package": {"ecosystem": "PyPI", "name": "envcli-plugin-example"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1.1"}]}],
        }
    ],
}


@pytest.fixture(scope="module")
def osv_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    config: Any = SimpleNamespace(data=tmp_path_factory.mktemp("osv"))
    (config.data / "own.json").write_text(json.dumps(OWN))
    load_advisories(config.data / "own.json", config, "own")
    answer = handler(config)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status, content = answer("POST", self.path.removeprefix("/osv"), body)
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/osv/v1/query"
    server.shutdown()
    server.server_close()
    thread.join()


def audit(osv_url: str, folder: Path, *requirements: str) -> tuple[int, dict[str, list[str]]]:
    """Audit pinned requirements; return the exit status and the advisories found by project."""
    (folder / "requirements.txt").write_text("\n".join(requirements))
    command = [
        sys.executable,
        "-m",
        "pip_audit",
        "-r",
        "requirements.txt",
        "--no-deps",
        "--disable-pip",
        "--strict",
    ]
    options = ["-s", "osv", "--osv-url", osv_url, "-f", "json", "--progress-spinner", "off"]
    environment = {**os.environ, "XDG_CACHE_HOME": str(folder), "HOME": str(folder)}
    done = subprocess.run(
        [*command, *options], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    found = json.loads(done.stdout or '{"dependencies": []}')["dependencies"]
    return done.returncode, {each["name"]: [vuln["id"] for vuln in each["vulns"]] for each in found}


def test_known_vulnerabilities_are_reported(osv_url: str, tmp_path: Path) -> None:
    status, found = audit(
        osv_url, tmp_path, "Requests==2.19.0", "jinja2==3.1.0", "envcli_plugin_example==1.0"
    )
    assert status == 1
    assert found == {
        "requests": ["PYSEC-2018-28"],
        "jinja2": [],
        "envcli-plugin-example": ["ENVCLI-2026-0001"],
    }


def test_fixed_versions_pass(osv_url: str, tmp_path: Path) -> None:
    assert audit(osv_url, tmp_path, "requests==2.32.0", "envcli-plugin-example==1.1")[0] == 0


def test_absent_service_is_an_error_not_a_pass(osv_url: str, tmp_path: Path) -> None:
    assert audit(osv_url.replace("query", "nowhere"), tmp_path, "requests==2.32.0")[0] != 0
