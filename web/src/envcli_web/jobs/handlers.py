"""What each kind of job does."""

from collections.abc import Callable, Mapping
from typing import Any

import httpx
from flask import current_app

from envcli_web.accounts import services as accounts
from envcli_web.analytics import services as analytics
from envcli_web.catalog import projection, search
from envcli_web.catalog.feed_trust import FeedTrust
from envcli_web.catalog.index_client import IndexClient
from envcli_web.config import WebConfig
from envcli_web.database import write
from envcli_web.errors import WebError
from envcli_web.jobs.queue import Leased

REFRESH = "catalog.refresh"
REBUILD = "catalog.rebuild"
STATS = "catalog.downloads"
REINDEX = "search.reindex"
PURGE = "sessions.purge"


class UnknownJobError(WebError):
    """A job of a kind that this version does not know."""


def index_client() -> IndexClient:
    """Return a client of the configured index."""
    config: WebConfig = current_app.extensions["envcli_config"]
    transport: httpx.BaseTransport | None = current_app.extensions.get("envcli_index_transport")
    check = FeedTrust(config).check if config.index_root_sha256 else None
    return IndexClient(config.index_url, transport, check)


def _refresh(_payload: Mapping[str, Any]) -> None:
    with index_client() as client:
        projection.refresh(client)


def _rebuild(_payload: Mapping[str, Any]) -> None:
    with index_client() as client:
        projection.rebuild_all(client)


def _stats(_payload: Mapping[str, Any]) -> None:
    with index_client() as client:
        found = client.downloads()
    with write() as session:
        analytics.take_downloads(session, found)


def _reindex(_payload: Mapping[str, Any]) -> None:
    with write() as session:
        search.reindex(session)


def _purge(_payload: Mapping[str, Any]) -> None:
    with write() as session:
        accounts.purge_sessions(session)


HANDLERS: Mapping[str, Callable[[Mapping[str, Any]], None]] = {
    REFRESH: _refresh,
    REBUILD: _rebuild,
    STATS: _stats,
    REINDEX: _reindex,
    PURGE: _purge,
}


def run(job: Leased) -> None:
    """Do the work of ``job``.

    Raises:
        UnknownJobError: this version has no handler for it.
    """
    handler = HANDLERS.get(job.kind)
    if handler is None:
        raise UnknownJobError(f"There is no handler for jobs of kind {job.kind}")
    handler(job.payload)
