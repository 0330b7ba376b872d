"""The reader's side: what the ASGI application answers for each kind of request."""

import asyncio
import gzip
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from envcli_index.downloads import DownloadSpool, count_by_day
from envcli_index.serve import LARGE_BYTES, PublicTree
from hypothesis import given
from hypothesis import strategies as st

WHEEL = b"wheel bytes " * 100
SHA = hashlib.sha256(WHEEL).hexdigest()
LARGE = b"x" * (LARGE_BYTES + 10)
LARGE_SHA = hashlib.sha256(LARGE).hexdigest()


@dataclass
class Answer:
    """What the application sent."""

    status: int = 0
    headers: dict[bytes, bytes] = field(default_factory=dict)
    body: bytes = b""


def ask(app: PublicTree, path: str, method: str = "GET", body: bytes = b"", **headers: str) -> Answer:
    """Send one request straight into the ASGI application."""
    answer = Answer()

    async def receive() -> Mapping[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Mapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            answer.status, answer.headers = message["status"], dict(message["headers"])
        answer.body += message.get("body", b"")

    sent = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": method, "path": path, "headers": sent, "client": ("127.0.0.1", 1)}
    asyncio.run(app(scope, receive, send))
    return answer


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A small public tree, with a secret beside it."""
    root = tmp_path / "public"
    (root / "simple/demo").mkdir(parents=True)
    (root / "simple/demo/index.html").write_text("<html>" + "page " * 300)
    (root / "simple/demo/index.json").write_text(json.dumps({"name": "demo", "pad": "x" * 600}))
    for sha, content in ((SHA, WHEEL), (LARGE_SHA, LARGE)):
        (root / "files" / sha).mkdir(parents=True)
        (root / "files" / sha / "demo-1-py3-none-any.whl").write_bytes(content)
    (tmp_path / "secret").write_text("secret")
    return root


@pytest.fixture
def app(tree: Path) -> PublicTree:
    """The application over the small tree; its OSV side echoes."""
    return PublicTree(
        tree, DownloadSpool(tree.parent / "downloads"), lambda *asked: (200, repr(asked).encode())
    )


JSON = "application/vnd.pypi.simple.v1+json"


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", b"text/html; charset=utf-8"),
        ("*/*", b"text/html; charset=utf-8"),
        (JSON, JSON.encode()),
        (f"{JSON}, application/vnd.pypi.simple.v1+html;q=0.1, text/html;q=0.01", JSON.encode()),
        (f"text/html, {JSON};q=0.5", b"text/html; charset=utf-8"),
        (f"{JSON};q=0", b"text/html; charset=utf-8"),
        (f"{JSON};q=nonsense", b"text/html; charset=utf-8"),
    ],
)
def test_project_pages_are_negotiated(app: PublicTree, accept: str, kind: bytes) -> None:
    assert ask(app, "/simple/demo/", accept=accept).headers[b"content-type"] == kind


def test_an_unchanged_page_is_not_sent_again_and_a_replaced_one_is(app: PublicTree, tree: Path) -> None:
    first = ask(app, "/simple/demo/")
    again = ask(app, "/simple/demo/", if_none_match=first.headers[b"etag"].decode())
    assert (first.status, again.status, again.body) == (200, 304, b"")
    fresh = tree / "fresh"
    fresh.write_text("<html>other")
    fresh.replace(tree / "simple/demo/index.html")
    assert ask(app, "/simple/demo/", if_none_match=first.headers[b"etag"].decode()).body == b"<html>other"


def test_pages_are_packed_for_who_accepts_it(app: PublicTree) -> None:
    packed = ask(app, "/simple/demo/", accept_encoding="gzip, br")
    assert gzip.decompress(packed.body) == ask(app, "/simple/demo/").body
    assert packed.headers[b"content-length"] == b"%d" % len(packed.body)


@pytest.mark.parametrize(("sha", "content"), [(SHA, WHEEL), (LARGE_SHA, LARGE)], ids=["held", "read"])
@pytest.mark.parametrize(
    ("wanted", "start", "stop"), [("bytes=0-9", 0, 10), ("bytes=5-", 5, None), ("bytes=-7", -7, None)]
)
def test_ranges_of_files(
    app: PublicTree, sha: str, content: bytes, wanted: str, start: int, stop: int | None
) -> None:
    answer = ask(app, f"/files/{sha}/demo-1-py3-none-any.whl", range=wanted)
    assert (answer.status, answer.body) == (206, content[start:stop])
    assert answer.headers[b"content-length"] == b"%d" % len(answer.body)


def test_a_range_behind_the_end_is_refused_and_a_strange_one_ignored(app: PublicTree) -> None:
    path = f"/files/{SHA}/demo-1-py3-none-any.whl"
    assert ask(app, path, range="bytes=99999-").status == 416
    assert ask(app, path, range="lines=1-2").body == WHEEL
    assert ask(app, path, range="bytes=9-2").body == WHEEL


def test_head_sends_headers_only(app: PublicTree) -> None:
    answer = ask(app, f"/files/{SHA}/demo-1-py3-none-any.whl", method="HEAD")
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers[b"content-length"] == b"%d" % len(WHEEL)


def test_a_folder_without_its_slash_is_redirected(app: PublicTree) -> None:
    answer = ask(app, "/simple/demo")
    assert (answer.status, answer.headers[b"location"]) == (301, b"/simple/demo/")


def test_a_taken_down_file_is_gone_at_the_next_request(app: PublicTree, tree: Path) -> None:
    path = f"/files/{SHA}/demo-1-py3-none-any.whl"
    assert ask(app, path).status == 200
    (tree / path[1:]).unlink()
    assert ask(app, path).status == 404


def test_downloads_count_once_per_client_and_day(app: PublicTree, tree: Path) -> None:
    path = f"/files/{SHA}/demo-1-py3-none-any.whl"
    for agent in ("pip", "pip", "uv"):
        ask(app, path, user_agent=agent)
    ask(app, path, method="HEAD", user_agent="other")
    assert count_by_day(tree.parent / "downloads") == {datetime.now(UTC).date(): {SHA: 2}}


def test_writing_is_not_allowed_and_osv_questions_pass(app: PublicTree) -> None:
    assert ask(app, "/simple/demo/", method="POST").status == 405
    assert b"'POST', '/v1/query', b'{}'" in ask(app, "/osv/v1/query", method="POST", body=b"{}").body
    assert ask(app, "/osv/v1/query", method="POST", body=b"x" * (2 << 20)).status == 413


@given(
    st.lists(
        st.sampled_from(["..", ".", "", "secret", "simple", "demo", "\\..", "\0", ".hidden"]), max_size=6
    )
)
def test_no_path_leaves_the_tree(tmp_path_factory: pytest.TempPathFactory, parts: list[str]) -> None:
    root = tmp_path_factory.getbasetemp() / "walk" / "public"
    root.mkdir(parents=True, exist_ok=True)
    (root.parent / "secret").write_text("secret")
    (root / ".hidden").write_text("secret")
    app = PublicTree(root, DownloadSpool(root.parent / "downloads"), lambda *_: (200, b""))
    assert b"secret" not in ask(app, "/" + "/".join(parts)).body
