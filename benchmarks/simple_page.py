"""A project page of the simple API: our ASGI app, stock devpi-server on the same projects, nginx on the same files."""

import base64
import hashlib
import io
import json
import shutil
import subprocess
import sys
import tempfile
import urllib.request
import zipfile
from datetime import UTC, datetime
from pathlib import Path

from envcli_index.public.simple import SimpleFile, SimplePage, render_html, render_json
from envcli_index.public.tree import PublicFiles

from benchmarks.load import Load, free_port, measure, running
from benchmarks.measure import Row, plain_environment

PROJECTS = 2_000
SIZES = (200, 10_000)
REQUESTS = 4_000
DEVPI_REQUESTS = 600
NGINX = Path("/usr/sbin/nginx")
SERVE = """
import sys
from pathlib import Path
from envcli_index.downloads import DownloadSpool
from envcli_index.serve import PublicTree
import uvicorn
root = Path(sys.argv[1])
app = PublicTree(root, DownloadSpool(root.parent / "downloads"), lambda *_: (404, b"{}"))
uvicorn.run(app, port=int(sys.argv[2]), loop="uvloop", http="httptools", log_level="warning", access_log=False)
"""
NGINX_CONF = """
worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log stderr;
events {{ worker_connections 256; }}
http {{
  access_log off; default_type application/octet-stream; sendfile on; keepalive_requests 1000000;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  server {{ listen 127.0.0.1:{port}; root {root}; location / {{ index index.json; }} }}
}}
"""


def run() -> list[Row]:
    """Measure and return the rows of the table."""
    with tempfile.TemporaryDirectory(prefix="envcli-bench-") as name:
        folder = Path(name)
        ours = {count: _ours(folder, count) for count in (PROJECTS, *SIZES)}
        stock = _stock_devpi(folder)
        rows = [_row("simple page vs stock devpi, CPU", ours[PROJECTS], "devpi-server", stock, 1 / 30)]
        if NGINX.exists():
            files = _nginx(folder)
            rows.append(
                _row("simple page vs nginx on static files, CPU", ours[PROJECTS], "nginx", files, 8.0)
            )
        small, large = (ours[count] for count in SIZES)
        rows.append(_row("simple page, 10,000 projects vs 200, CPU", large, "200 projects", small, 1.3))
    return rows


def _row(what: str, ours: Load, name: str, peer: Load, target: float) -> Row:
    return Row(
        what,
        f"{ours.cpu_micros:.0f} µs {ours.per_second:.0f}/s",
        f"{name} {peer.cpu_micros:.0f} µs {peer.per_second:.0f}/s",
        ours.cpu_micros / peer.cpu_micros,
        target,
    )


def _paths(count: int, base: str = "/simple") -> list[str]:
    step = max(count // 1000, 1)
    return [f"{base}/envcli-plugin-p{number}/" for number in range(0, count, step)]


def _tree(folder: Path, count: int) -> Path:
    root = folder / f"tree-{count}" / "public"
    tree = PublicFiles(root)
    when = datetime(2026, 1, 1, tzinfo=UTC)
    for number in range(count):
        project, sha = f"envcli-plugin-p{number}", hashlib.sha256(str(number).encode()).hexdigest()
        file = f"envcli_plugin_p{number}-1.0-py3-none-any.whl"
        entry = SimpleFile(
            filename=file,
            url=f"http://127.0.0.1/files/{sha}/{file}",
            sha256=sha,
            size=5000,
            uploaded=when,
            metadata_sha256=sha,
        )
        page = SimplePage(name=project, versions=("1.0",), files=(entry,))
        place = root / "simple" / project
        place.mkdir(parents=True)
        (place / "index.json").write_bytes(render_json(page))
        (place / "index.html").write_bytes(render_html(page))
    return tree.root


def _ours(folder: Path, count: int) -> Load:
    root, port = _tree(folder, count), free_port()
    script = folder / "serve.py"
    script.write_text(SERVE)
    with running([sys.executable, script, root, str(port)], port, folder) as server:
        paths = _paths(count)
        measure(server, port, paths, len(paths))
        return measure(server, port, paths, REQUESTS)


def _nginx(folder: Path) -> Load:
    root, port = folder / f"tree-{PROJECTS}" / "public", free_port()
    conf = folder / "nginx.conf"
    conf.write_text(NGINX_CONF.format(folder=folder, port=port, root=root))
    folder.chmod(0o755)
    with running([NGINX, "-c", conf, "-p", folder], port, folder) as server:
        paths = [f"{path}index.json" for path in _paths(PROJECTS)]
        return measure(server, port, paths, REQUESTS)


def _stock_devpi(folder: Path) -> Load:
    home, port = folder / "devpi", free_port()
    programs = Path(sys.executable).parent
    secret = folder / "secret"
    secret.write_text(base64.b64encode(hashlib.sha256(b"benchmark").digest()).decode())
    secret.chmod(0o600)
    subprocess.run(
        [programs / "devpi-init", "--serverdir", home, "--no-root-pypi", "--root-passwd", "benchmark"],
        check=True,
        capture_output=True,
        env=plain_environment(),
    )
    command: list[str | Path] = [
        programs / "devpi-server", "--serverdir", home, "--port", str(port), "--offline-mode",
        "--secretfile", secret, "--argon2-memory-cost", "8192", "--argon2-time-cost", "2",
    ]  # fmt: skip
    with running(command, port, folder) as server:
        _fill_devpi(port)
        paths = _paths(PROJECTS, "/root/bench/+simple")
        measure(server, port, paths, 100)
        return measure(server, port, paths, DEVPI_REQUESTS)


def _fill_devpi(port: int) -> None:
    base = f"http://127.0.0.1:{port}"
    login = _ask(f"{base}/+login", {"user": "root", "password": "benchmark"}, "POST")
    key = base64.b64encode(f"root:{login['result']['password']}".encode()).decode()
    headers = {"X-Devpi-Auth": key}
    _ask(f"{base}/root/bench", {"type": "stage", "bases": [], "volatile": True}, "PUT", headers)
    for number in range(PROJECTS):
        _upload(f"{base}/root/bench/", f"envcli-plugin-p{number}", headers)


Answer = dict[str, dict[str, str]]


def _ask(url: str, body: dict[str, object], method: str, headers: dict[str, str] | None = None) -> Answer:
    sent = {"Content-Type": "application/json", "Accept": "application/json"} | (headers or {})
    request = urllib.request.Request(url, json.dumps(body).encode(), sent, method=method)
    with urllib.request.urlopen(request, timeout=60) as answer:
        found: Answer = json.load(answer)
        return found


def _upload(url: str, project: str, headers: dict[str, str]) -> None:
    file = f"{project.replace('-', '_')}-1.0-py3-none-any.whl"
    boundary = "benchmark-boundary"
    fields = {":action": "file_upload", "name": project, "version": "1.0"}
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="content"; filename="{file}"\r\n\r\n'.encode()
    )
    body = b"".join([*parts, head, _wheel(project), f"\r\n--{boundary}--\r\n".encode()])
    sent = headers | {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    with urllib.request.urlopen(urllib.request.Request(url, body, sent), timeout=60) as answer:
        shutil.copyfileobj(answer, io.BytesIO())


def _wheel(project: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as wheel:
        wheel.writestr(
            f"{project.replace('-', '_')}-1.0.dist-info/METADATA",
            f"Metadata-Version: 2.1\nName: {project}\nVersion: 1.0\n",
        )
    return out.getvalue()
