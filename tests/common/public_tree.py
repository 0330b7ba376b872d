"""A small index: the public tree as files, with a feed whose events are chained, served over HTTP."""

import base64
import hashlib
import json
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import UUID, uuid5

NAMESPACE = UUID("7d3b5d0e-52f4-4b8e-9d4f-6c8f1d1a2b3c")


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


def digest_of(text: str) -> str:
    """Return the SHA-256 that stands for a file called ``text``."""
    return hashlib.sha256(text.encode()).hexdigest()


def release(version: str, *permissions: tuple[str, str, str], **changes: Any) -> dict[str, Any]:
    """Return one release of a record; ``permissions`` are (permission, scope, reason)."""
    asked = [{"permission": name, "scope": scope, "reason": why} for name, scope, why in permissions]
    values: dict[str, Any] = {
        "version": version,
        "state": "released",
        "uploaded": "2026-01-02T03:04:05Z",
        "requires_python": ">=3.11",
        "manifest": {"id": "x", "type": "integration", "permissions": asked},
        "verdict": {
            "result": "PASSED",
            "reviewed_by": ["Grace"],
            "time": "2026-01-03T00:00:00Z",
            "rules": [],
        },
        "yanked": None,
    }
    return values | changes


class PublicTree:
    """Writes the files that an index publishes, and serves them; a context manager."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._seq, self._last = 0, "0" * 64
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(root)))
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._names: list[str] = []

    def __enter__(self) -> Self:
        """Start serving."""
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()

    def put(self, path: str, value: object) -> bytes:
        """Write a JSON file of the tree and return its bytes."""
        content = json.dumps(value).encode()
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        return content

    def emit(self, project: str, kind: str = "release.promoted/1") -> int:
        """Append an event about ``project`` to the feed and return its number."""
        self._seq += 1
        body = {
            "seq": self._seq,
            "prev_sha256": self._last,
            "time": "2026-01-03T00:00:00Z",
            "type": kind,
            "subject": f"{project}==1.0",
            "data": {"project": project},
        }
        payload = base64.b64encode(json.dumps(body).encode()).decode()
        envelope = {"payload": payload, "payloadType": "application/vnd.envcli.event+json", "signatures": []}
        self._last = hashlib.sha256(self.put(f"feed/events/{self._seq}.json", envelope)).hexdigest()
        self.put("feed/head.json", {"seq": self._seq, "sha256": self._last})
        return self._seq

    def add(self, name: str, *releases: dict[str, Any], **changes: Any) -> dict[str, Any]:
        """Publish a project and emit its event; return its record."""
        chosen = [dict(item) for item in releases or (release("1.0"),)]
        for item in chosen:
            filename = f"{name.replace('-', '_')}-{item['version']}-py3-none-any.whl"
            item.setdefault("files", [{"filename": filename, "sha256": digest_of(filename), "size": 1234}])
        publisher = str(uuid5(NAMESPACE, "publisher"))
        record: dict[str, Any] = {
            "name": name,
            "project_uuid": str(uuid5(NAMESPACE, name)),
            "publisher": {
                "uuid": publisher,
                "name": "Ada's tools",
                "identity": f"urn:{publisher}",
                "issuer": "urn:x",
            },
            "status": "active",
            "summary": f"What {name} does",
            "description": f"# {name}\n\nWhat it *does*.",
            "description_content_type": "text/markdown",
            "license": "MIT",
            "author": "Ada",
            "keywords": [],
            "type": "integration",
            "categories": [],
            "releases": chosen,
        }
        record |= changes
        self.put(f"projects/{name}.json", record)
        if name not in self._names:
            self._names.append(name)
        self.put("projects/index.json", [{"name": item} for item in self._names])
        self.emit(name)
        return record

    def remove(self, name: str) -> None:
        """Withdraw a project altogether and emit its event."""
        (self.root / f"projects/{name}.json").unlink()
        self._names.remove(name)
        self.put("projects/index.json", [{"name": item} for item in self._names])
        self.emit(name, "project.removed/1")
