"""Reading the index's public tree over HTTP."""

import base64
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx

from envcli_web.errors import WebError

TIMEOUT_SECONDS = 10.0
MAX_BYTES = 16 * 1024 * 1024
NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,198}[a-z0-9])?")


class IndexUnusableError(WebError):
    """The index does not answer, or answers something that cannot be used."""

    status = HTTPStatus.BAD_GATEWAY


class GarbledRecordError(IndexUnusableError):
    """One project's record has the wrong form; the others may be well."""


@dataclass(frozen=True)
class FeedHead:
    """The newest event of the feed."""

    seq: int
    sha256: str


@dataclass(frozen=True)
class FeedEvent:
    """One event of the feed.

    Attributes:
        sha256: digest of the event file's bytes, which the next event names.
    """

    seq: int
    prev_sha256: str
    sha256: str
    type: str
    subject: str
    data: dict[str, Any]


class IndexClient:
    """Fetches JSON files of the public tree; a context manager.

    Args:
        url: public URL of the index.
        transport: other than the network, for tests against an application object.
        check: raises when an event was not signed by the index's gate; none where no fingerprint of it is known.
    """

    def __init__(
        self,
        url: str,
        transport: httpx.BaseTransport | None = None,
        check: Callable[[bytes], None] | None = None,
    ) -> None:
        self._check = check
        self._client = httpx.Client(
            base_url=url + "/",
            timeout=TIMEOUT_SECONDS,
            transport=transport,
            headers={"User-Agent": "envcli-web"},
        )

    def __enter__(self) -> Self:
        """Return the client."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        self._client.close()

    def _bytes(self, path: str) -> bytes | None:
        try:
            with self._client.stream("GET", path) as answer:
                if answer.status_code == httpx.codes.NOT_FOUND:
                    return None
                answer.raise_for_status()
                content = bytearray()
                for part in answer.iter_bytes():
                    content += part
                    if len(content) > MAX_BYTES:
                        raise IndexUnusableError(f"{path} of the index is larger than {MAX_BYTES} bytes")
                return bytes(content)
        except httpx.HTTPError as error:
            raise IndexUnusableError(f"The index does not answer for {path}: {error}") from error

    def _json(self, path: str) -> Any | None:
        content = self._bytes(path)
        if content is None:
            return None
        try:
            return json.loads(content)
        except ValueError as error:
            raise IndexUnusableError(f"{path} of the index is not JSON") from error

    def head(self) -> FeedHead | None:
        """Return the newest event's number and digest, None before the first event."""
        found = self._json("feed/head.json")
        if found is None:
            return None
        try:
            return FeedHead(seq=int(found["seq"]), sha256=str(found.get("sha256", "")))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise IndexUnusableError("feed/head.json of the index has the wrong form") from error

    def event(self, seq: int) -> FeedEvent:
        """Return event ``seq``.

        Raises:
            IndexUnusableError: it is missing, has the wrong form or is not signed by the gate.
        """
        raw = self._bytes(f"feed/events/{seq}.json")
        if raw is None:
            raise IndexUnusableError(f"Event {seq} is missing from the index's feed")
        if self._check is not None:
            self._check(raw)
        return parse_event(raw)

    def names(self) -> list[str]:
        """Return the names of all projects."""
        found = self._json("projects/index.json")
        items = found.get("projects", []) if isinstance(found, dict) else found or []
        try:
            return [checked_name(item["name"]) for item in items]
        except (KeyError, TypeError) as error:
            raise IndexUnusableError("projects/index.json of the index has the wrong form") from error

    def project(self, name: str) -> dict[str, Any] | None:
        """Return the full record of a project, None where there is none (any more)."""
        content = self._bytes(f"projects/{checked_name(name)}.json")
        if content is None:
            return None
        try:
            found = json.loads(content)
        except ValueError as error:
            raise GarbledRecordError(f"The record of {name} is not JSON") from error
        if not isinstance(found, dict):
            raise GarbledRecordError(f"The record of {name} is not an object")
        return found

    def downloads(self) -> dict[str, Any]:
        """Return the download counts, empty where the index has none."""
        found = self._json("stats/downloads.json")
        return found if isinstance(found, dict) else {}

    def vetting_queue(self) -> Any:
        """Return the public state of the vetting queue, None where there is none."""
        return self._json("vetting/queue.json")

    def vetting(self, name: str, version: str) -> Any:
        """Return the evidence about one release, None where there is none."""
        return self._json(f"vetting/{checked_name(name)}/{quote(version, safe='')}.json")

    def statement(self, name: str, version: str, label: str) -> bytes | None:
        """Return one signed statement about a release by its short name, None where there is none."""
        path = f"statements/{checked_name(name)}/{quote(version, safe='')}/{checked_name(label)}.dsse.json"
        return self._bytes(path)


def checked_name(name: object) -> str:
    """Return ``name`` if it is a normalized project name.

    Raises:
        IndexUnusableError: it is not, and so must not become part of a path.
    """
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise IndexUnusableError(f"{name!r} is not a normalized project name")
    return name


def parse_event(raw: bytes) -> FeedEvent:
    """Read a DSSE envelope that holds one event.

    Raises:
        IndexUnusableError: it has the wrong form.
    """
    try:
        envelope = json.loads(raw)
        body = json.loads(base64.b64decode(envelope["payload"], validate=True))
        return FeedEvent(
            seq=int(body["seq"]),
            prev_sha256=str(body["prev_sha256"] or ""),
            sha256=hashlib.sha256(raw).hexdigest(),
            type=str(body["type"]),
            subject=str(body["subject"]),
            data=body["data"] if isinstance(body["data"], dict) else {},
        )
    except (ValueError, KeyError, TypeError) as error:
        raise IndexUnusableError("An event of the index's feed has the wrong form") from error
