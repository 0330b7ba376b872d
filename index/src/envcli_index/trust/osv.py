"""The OSV API over the index's own database of advisories: ``/v1/query``, ``/v1/querybatch`` and ``/v1/vulns/<id>``.

It answers what pip-audit asks with ``--vulnerability-service osv --osv-url URL/v1/query``. ``GET
/v1/status`` adds what the public service lacks: which sources are loaded and how old their newest advisory
is.
"""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from packaging.utils import InvalidName, canonicalize_name
from packaging.version import InvalidVersion, Version

from envcli_index.trust.advisories import DATABASE, OWN_SOURCE, AdvisoryDatabase, Source, load_advisories
from envcli_index.trust.errors import AdvisoryQueryError
from envcli_index.trust.ranges import ECOSYSTEM
from envcli_index.trust.settings import TrustSettings

__all__ = ["OsvApi", "handler", "load_advisories"]

MAX_QUERIES = 1000
_INVALID_ARGUMENT = 3
_NOT_FOUND = 5
_UNAVAILABLE = 14

Answer = tuple[int, bytes]


def handler(config: TrustSettings) -> Callable[[str, str, bytes], Answer]:
    """Return the function that answers requests from ``DIR/osv.db``, which is made with a seed if it is missing."""
    return OsvApi(AdvisoryDatabase(config.data / DATABASE)).handle


class OsvApi:
    """Answers OSV requests; knows nothing of HTTP beyond method, path, body and status."""

    def __init__(self, database: AdvisoryDatabase) -> None:
        """Answer from ``database``."""
        self._database = database

    def handle(self, method: str, path: str, body: bytes) -> Answer:
        """Return status and JSON body of one request.

        Args:
            method: the HTTP method.
            path: the path below the API's root, beginning with ``/v1/``.
            body: the request's body.
        """
        try:
            return self._answer(method, path, body)
        except AdvisoryQueryError as error:
            return _problem(400, _INVALID_ARGUMENT, str(error))

    def _answer(self, method: str, path: str, body: bytes) -> Answer:
        posts = {"/v1/query": self._query, "/v1/querybatch": self._batch}
        if method == "POST" and path in posts:
            if not self._database.sources():
                return _problem(503, _UNAVAILABLE, "no advisories are loaded; load a snapshot into the index")
            return _json(posts[path](_object(body)))
        if method == "GET" and path == "/v1/status":
            return _json(_status(self._database.sources(), datetime.now(UTC)))
        if method == "GET" and path.startswith("/v1/vulns/"):
            found = self._database.get(path.removeprefix("/v1/vulns/"))
            return _json(found) if found else _problem(404, _NOT_FOUND, "Bug not found.")
        return _problem(404, _NOT_FOUND, "no such address")

    def _query(self, query: Mapping[str, Any]) -> dict[str, Any]:
        found = self._find(query)
        return {"vulns": found} if found else {}

    def _batch(self, document: Mapping[str, Any]) -> dict[str, Any]:
        queries = document.get("queries")
        if not isinstance(queries, list) or len(queries) > MAX_QUERIES:
            raise AdvisoryQueryError(f"queries must be a list of at most {MAX_QUERIES}")
        return {"results": [_brief(self._find(query)) for query in queries]}

    def _find(self, query: Any) -> list[dict[str, Any]]:
        name, version = _parse_query(query)
        return self._database.affecting(name, version) if name else []


def _parse_query(query: Any) -> tuple[str | None, Version | None]:
    """Return the normalized name (None for another ecosystem) and the version that a query is about."""
    try:
        package, version = query["package"], query.get("version")
        is_ours = package["ecosystem"] == ECOSYSTEM
        name = canonicalize_name(package["name"], validate=True) if is_ours else None
        return name, Version(version) if version and is_ours else None
    except InvalidName as error:
        raise AdvisoryQueryError("the name is none of a Python project") from error
    except InvalidVersion as error:
        raise AdvisoryQueryError("the version is not one of PEP 440") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise AdvisoryQueryError(
            "a query needs package.name, package.ecosystem and maybe a version"
        ) from error


def _brief(found: list[dict[str, Any]]) -> dict[str, Any]:
    return {"vulns": [{"id": one["id"], "modified": one["modified"]} for one in found]} if found else {}


def _status(sources: list[Source], now: datetime) -> dict[str, Any]:
    """Return the sources and the age, in seconds, of the newest advisory that comes from outside this index."""
    newest = [source.newest for source in sources if source.name != OWN_SOURCE]
    described = [
        {
            "name": source.name,
            "loaded": source.loaded.isoformat(),
            "generated": source.newest.isoformat(),
            "advisories": source.advisories,
        }
        for source in sources
    ]
    generated = max(newest, default=None)
    age = None if generated is None else int((now - generated).total_seconds())
    return {"generated": generated and generated.isoformat(), "age_seconds": age, "sources": described}


def _object(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise AdvisoryQueryError("the request is not JSON") from error
    if not isinstance(document, dict):
        raise AdvisoryQueryError("the request is no JSON object")
    return document


def _problem(status: int, code: int, message: str) -> Answer:
    return status, json.dumps({"code": code, "message": message}).encode()


def _json(document: Any) -> Answer:
    return 200, json.dumps(document).encode()
