"""A small OSV service: knows the vulnerabilities it is given, or misbehaves as it is told."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def vulnerability(name: str, identifier: str, fixed: str) -> dict[str, object]:
    """An OSV entry: every version of `name` below `fixed` is affected."""
    ranges = [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": fixed}]}]
    affected = [{"package": {"ecosystem": "PyPI", "name": name}, "ranges": ranges}]
    return {"id": identifier, "summary": "bad", "affected": affected, "schema_version": "1.6.0"}


@contextmanager
def osv_service(
    known: Mapping[str, dict[str, object]], *, status: int = 200, days: int | None = 1
) -> Iterator[str]:
    """Serve vulnerabilities by project name, the newest some `days` old; yield the query address."""
    generated = (datetime.now(UTC) - timedelta(days=days)).isoformat() if days is not None else None

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            entry = known.get(query["package"]["name"])
            body = json.dumps({"vulns": [entry]} if entry else {}).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            body = json.dumps({"generated": generated}).encode()
            self.send_response(200 if self.path == "/v1/status" and generated else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1/query"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
