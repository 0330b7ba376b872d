"""A static PEP 503 index over HTTP, for resolving against known packages and no others."""

import functools
import hashlib
import html
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from common.wheels import build_wheel


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None: ...


def add_package(
    folder: Path, name: str, version: str, *, requires: Sequence[str] = (), tag: str = "py3-none-any"
) -> Path:
    """Build a wheel, put it into the index below `folder`, and return its path."""
    module = name.replace("-", "_")
    filename, data, _ = build_wheel(
        name, version, {f"{module}/__init__.py": b""}, requires=tuple(requires), tag=tag
    )
    place = folder / "simple" / name
    place.mkdir(parents=True, exist_ok=True)
    (place / filename).write_bytes(data)
    wheels = sorted(place.glob("*.whl"))
    links = "".join(
        f'<a href="{html.escape(one.name)}#sha256={hashlib.sha256(one.read_bytes()).hexdigest()}">{one.name}</a>'
        for one in wheels
    )
    (place / "index.html").write_text(f"<!DOCTYPE html><html><body>{links}</body></html>")
    return place / filename


@contextmanager
def simple_index(folder: Path) -> Iterator[str]:
    """Serve the index below `folder`; yield its address."""
    handler = functools.partial(_Quiet, directory=str(folder))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/simple/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
