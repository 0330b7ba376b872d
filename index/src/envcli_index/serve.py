"""ASGI application over the public tree: the reader's side of an index that has no web server in front.

It reads rendered files, nothing else: no database, no devpi, no template. A file is kept in memory with its
headers as long as its inode, size and modification time stay the same, so that what the gate replaces is seen at
the next request and an unchanged page costs one ``stat``. Any static server can take its place; the tree is the
interface.

Sources: PEP 503 and 691 (content negotiation), RFC 9110 (conditional requests, ranges).
"""

import asyncio
import gzip
import hashlib
import os
import signal
import stat
import sys
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from envcli_index.config import IndexConfig
from envcli_index.downloads import DownloadSpool

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]
OsvHandler = Callable[[str, str, bytes], tuple[int, bytes]]

SIMPLE_JSON = b"application/vnd.pypi.simple.v1+json"
SIMPLE_HTML = b"application/vnd.pypi.simple.v1+html"
TYPES = {
    ".json": b"application/json",
    ".html": b"text/html; charset=utf-8",
    ".whl": b"application/octet-stream",
    ".metadata": b"text/plain; charset=utf-8",
}
LARGE_BYTES = 1 << 20
CACHE_BYTES = 128 << 20
CHUNK_BYTES = 256 << 10
MAX_BODY_BYTES = 1 << 20
GZIP_MIN_BYTES = 512
ALWAYS: Headers = [
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; sandbox"),
    (b"referrer-policy", b"no-referrer"),
]


@dataclass(frozen=True)
class Page:
    """One file as it is answered.

    Attributes:
        signature: device, inode, size and modification time (ns) of the file that it was made from.
        path: the file.
        size: bytes of the file.
        body: its content, or ``None`` for a large file, which is read at each request.
        packed: the content compressed with gzip where that pays.
        headers: the headers that do not depend on the request.
        etag: strong validator.
    """

    signature: tuple[int, int, int, int]
    path: str
    size: int
    body: bytes | None
    packed: bytes | None
    headers: Headers
    etag: bytes


class PublicTree:
    """The ASGI application.

    Args:
        root: folder of the public tree.
        spool: where downloads of distribution files are noted.
        osv: answers requests under ``/osv/``: method, path and body in, status and JSON out.
    """

    def __init__(self, root: Path, spool: DownloadSpool, osv: OsvHandler) -> None:
        self._root = str(root)
        self._spool = spool
        self._osv = osv
        self._pages: OrderedDict[str, Page] = OrderedDict()
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await _live(receive, send)
            return
        if scope["type"] != "http":
            return
        path: str = scope["path"]
        if path.startswith("/osv/"):
            await self._answer_osv(scope, path, receive, send)
        elif scope["method"] not in {"GET", "HEAD"}:
            await _plain(send, HTTPStatus.METHOD_NOT_ALLOWED, [(b"allow", b"GET, HEAD")])
        elif path == "/healthz":
            await _plain(send, HTTPStatus.OK)
        else:
            await self._answer_file(scope, path, send)

    async def _answer_file(self, scope: Scope, path: str, send: Send) -> None:
        headers = dict(scope["headers"])
        page = self._page(path, headers.get(b"accept", b""))
        if page is None and not path.endswith("/") and self._page(path + "/", b"") is not None:
            await _plain(send, HTTPStatus.MOVED_PERMANENTLY, [(b"location", (path + "/").encode())])
        elif page is None:
            await _plain(send, HTTPStatus.NOT_FOUND)
        elif headers.get(b"if-none-match") == page.etag:
            await send({"type": "http.response.start", "status": 304, "headers": page.headers})
            await send({"type": "http.response.body"})
        else:
            await self._send_page(scope, headers, page, send)

    def _file_name(self, path: str, accept: bytes) -> str | None:
        """Return the file that a URL path means, or ``None`` where it leaves the tree."""
        parts = path.split("/")[1:]
        if any(part.startswith(".") or "\\" in part or "\0" in part for part in parts) or "" in parts[:-1]:
            return None
        name = self._root + path
        if path.endswith("/"):
            wants_json = path.startswith("/simple/") and _prefers_json(accept)
            name += "index.json" if wants_json else "index.html"
        return name

    def _page(self, path: str, accept: bytes) -> Page | None:
        """Return what a URL path answers, or ``None`` where there is no file; one ``stat`` for a known page."""
        name = self._file_name(path, accept)
        if name is None:
            return None
        try:
            found = os.stat(name)  # noqa: PTH116 - on the path of every request
        except (OSError, ValueError):  # missing, a file where a folder is needed, or no name at all
            return None
        if not stat.S_ISREG(found.st_mode):
            return None
        signature = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
        known = self._pages.get(name)
        if known is not None and known.signature == signature:
            self._pages.move_to_end(name)
            return known
        page = _read_page(name, path, signature)
        self._remember(name, page)
        return page

    def _remember(self, name: str, page: Page) -> None:
        replaced = self._pages.pop(name, None)
        self._held += _weight(page) - (_weight(replaced) if replaced else 0)
        self._pages[name] = page
        while self._held > CACHE_BYTES:
            _, dropped = self._pages.popitem(last=False)
            self._held -= _weight(dropped)

    async def _send_page(self, scope: Scope, headers: Mapping[bytes, bytes], page: Page, send: Send) -> None:
        wanted = headers.get(b"range")
        span = _parse_range(wanted, page.size) if wanted and page.packed is None else None
        if span == (0, 0) and wanted:
            await _plain(
                send,
                HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
                [(b"content-range", b"bytes */%d" % page.size)],
            )
            return
        packed = page.packed if page.packed and b"gzip" in headers.get(b"accept-encoding", b"") else None
        start, stop = span or (0, page.size)
        length = len(packed) if packed else stop - start
        extra: Headers = [(b"content-length", b"%d" % length)]
        if packed:
            extra.append((b"content-encoding", b"gzip"))
        if span:
            extra.append((b"content-range", b"bytes %d-%d/%d" % (start, stop - 1, page.size)))
        status = 206 if span else 200
        await send({"type": "http.response.start", "status": status, "headers": page.headers + extra})
        if scope["method"] == "HEAD":
            await send({"type": "http.response.body"})
            return
        if page.path.endswith(".whl") and start == 0:
            client = scope.get("client") or ("", 0)
            self._spool.note(Path(page.path), str(client[0]), headers.get(b"user-agent", b""))
        await _send_body(page, packed, start, stop, send)

    async def _answer_osv(self, scope: Scope, path: str, receive: Receive, send: Send) -> None:
        body = await _read_body(receive)
        if body is None:
            await _plain(send, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            return
        status, content = await asyncio.to_thread(self._osv, scope["method"], path.removeprefix("/osv"), body)
        headers = [*ALWAYS, (b"content-type", b"application/json"), (b"content-length", b"%d" % len(content))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})


def _prefers_json(accept: bytes) -> bool:
    """Return whether the client likes PEP 691's JSON at least as much as HTML."""
    quality = {b"json": -1.0, b"html": -1.0}
    for part in accept.split(b","):
        media, _, parameters = part.strip().partition(b";")
        weight = 1.0
        if parameters.strip().startswith(b"q="):
            try:
                weight = float(parameters.strip()[2:])
            except ValueError:
                weight = 0.0
        if media in {SIMPLE_JSON, b"application/vnd.pypi.simple.latest+json"}:
            quality[b"json"] = max(quality[b"json"], weight)
        elif media in {SIMPLE_HTML, b"text/html"}:
            quality[b"html"] = max(quality[b"html"], weight)
    return quality[b"json"] > 0 and quality[b"json"] >= quality[b"html"]


def _read_page(name: str, path: str, signature: tuple[int, int, int, int]) -> Page:
    size = signature[2]
    large = size > LARGE_BYTES
    body = None if large else Path(name).read_bytes()
    is_file = path.startswith("/files/")
    validator = (
        path.split("/")[2] if is_file else hashlib.sha256(body or repr(signature).encode()).hexdigest()
    )
    etag = b'"%s%s"' % (validator[:32].encode(), b"-m" if name.endswith(".metadata") else b"")
    packs = body is not None and size >= GZIP_MIN_BYTES and not name.endswith((".whl", ".gz"))
    packed = gzip.compress(body, 6, mtime=0) if packs and body is not None else None
    # A taken-down file has to vanish from shared caches soon, though its content never changes.
    caching = b"public, max-age=600" if is_file else b"no-cache"
    kind = SIMPLE_JSON if path.startswith("/simple/") and name.endswith(".json") else _type_of(name)
    headers = [
        *ALWAYS,
        (b"content-type", kind),
        (b"etag", etag),
        (b"cache-control", caching),
        (b"vary", b"Accept, Accept-Encoding"),
        (b"accept-ranges", b"none" if packed else b"bytes"),
    ]
    return Page(signature, name, size, body, packed, headers, etag)


def _type_of(name: str) -> bytes:
    ending = name[name.rfind(".") :]
    if name.endswith("/provenance"):
        return b"application/vnd.pypi.integrity.v1+json"
    return TYPES.get(ending, b"application/octet-stream")


def _weight(page: Page) -> int:
    return len(page.body or b"") + len(page.packed or b"") + 1024


def _parse_range(value: bytes, size: int) -> tuple[int, int] | None:
    """Return first and one-past-last byte of a single range.

    (0, 0) means that it can't be met, ``None`` that the header is to be ignored (RFC 9110, section 14).
    """
    unit, _, span = value.partition(b"=")
    first, dash, last = span.strip().partition(b"-")
    if unit.strip() != b"bytes" or not dash or not (first + last).isdigit():
        return None
    if not first:
        return (max(size - int(last), 0), size) if int(last) and size else (0, 0)
    start = int(first)
    stop = min(int(last) + 1, size) if last else size
    if last and int(last) < start:
        return None
    return (start, stop) if start < size else (0, 0)


async def _send_body(page: Page, packed: bytes | None, start: int, stop: int, send: Send) -> None:
    body = packed or (page.body[start:stop] if page.body is not None else None)
    if body is not None:
        await send({"type": "http.response.body", "body": body})
        return
    with await asyncio.to_thread(Path(page.path).open, "rb") as file:
        file.seek(start)
        left = stop - start
        while left > 0:
            chunk = await asyncio.to_thread(file.read, min(CHUNK_BYTES, left))
            left -= len(chunk)
            await send({"type": "http.response.body", "body": chunk, "more_body": left > 0 and bool(chunk)})
            if not chunk:
                return


async def _read_body(receive: Receive) -> bytes | None:
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > MAX_BODY_BYTES:
            return None
        if not message.get("more_body"):
            return bytes(body)


async def _plain(send: Send, status: HTTPStatus, extra: Headers | None = None) -> None:
    body = f"{status.value} {status.phrase}\n".encode()
    headers = [
        *ALWAYS,
        (b"content-type", b"text/plain"),
        (b"content-length", b"%d" % len(body)),
        *(extra or []),
    ]
    await send({"type": "http.response.start", "status": status.value, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _live(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


def create_app(config: IndexConfig) -> PublicTree:
    """Return the application over one index's public tree."""
    from envcli_index.trust import osv

    return PublicTree(config.public, DownloadSpool(config.downloads), osv.handler(config))


def run(config: IndexConfig, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT.

    Args:
        host: address to listen on.
        port: TCP port.
    """
    import uvicorn

    # uvicorn ends in order and then raises the signal again for whoever handled it before
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    uvicorn.run(
        create_app(config),
        host=host,
        port=port,
        loop="uvloop",
        http="httptools",
        log_level="warning",
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=3,
    )
