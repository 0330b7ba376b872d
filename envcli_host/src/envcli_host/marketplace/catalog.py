"""What an index tells about its projects: unsigned, bounded, for choosing and for display only."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from packaging.utils import InvalidName, canonicalize_name

from envcli_host.errors import MarketplaceError, OfferNotFoundError, UsageError
from envcli_host.marketplace.model import OfferFile
from envcli_host.marketplace.transport import MissingFileError, Transport

MAX_PROJECTS = 64 * 1024 * 1024
MAX_PROJECT = 16 * 1024 * 1024
PREFIX = "envcli-plugin-"


@dataclass(frozen=True)
class ProjectSummary:
    """One line of the catalog."""

    name: str
    summary: str
    latest: str
    publisher: str
    type: str
    keywords: tuple[str, ...]


@dataclass(frozen=True)
class ReleaseListing:
    """One release as the index lists it."""

    version: str
    state: str
    uploaded: datetime | None
    requires_python: str
    files: tuple[OfferFile, ...]
    yanked: str | None


@dataclass(frozen=True)
class ProjectListing:
    """A project as the index lists it; ``document`` is the whole record for display."""

    name: str
    status: str
    releases: tuple[ReleaseListing, ...]
    document: Mapping[str, Any]


def full_name(project: str) -> str:
    """Return a project's whole normalized name: ``aws-secrets`` stands for ``envcli-plugin-aws-secrets``.

    Raises:
        UsageError: it is no name.
    """
    try:
        name = canonicalize_name(project, validate=True)
    except InvalidName as error:
        raise UsageError(
            f"{project[:80]!r} is no project name", remedy="Names are letters and digits joined by '-'"
        ) from error
    return name if name.startswith(PREFIX) else f"{PREFIX}{name}"


def fetch_summaries(transport: Transport) -> tuple[ProjectSummary, ...]:
    """Return the catalog of an index.

    Raises:
        MarketplaceError: it cannot be fetched or is not the documented shape.
    """
    path = "projects/index.json"
    document = _json(transport, path, MAX_PROJECTS)
    try:
        return tuple(_summary(entry) for entry in document["projects"])
    except (KeyError, TypeError, AttributeError) as error:
        raise _malformed(transport, path) from error


def fetch_project(transport: Transport, project: str) -> ProjectListing:
    """Return what the index lists about one project.

    Raises:
        OfferNotFoundError: it has no such project.
        MarketplaceError: the record cannot be fetched or is not the documented shape.
    """
    name = canonicalize_name(project)
    path = f"projects/{name}.json"
    try:
        document = _json(transport, path, MAX_PROJECT)
    except MissingFileError as error:
        raise OfferNotFoundError(
            f"{transport.label} has no project {name}", remedy="Run: envcli plugin search"
        ) from error
    try:
        releases = tuple(_release(entry, transport.base) for entry in document["releases"])
        described, status = canonicalize_name(document["name"]), str(document.get("status", "active"))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _malformed(transport, path) from error
    if described != name:
        raise _malformed(transport, path)
    return ProjectListing(name, status, releases, document)


def file_path(sha256: str, filename: str) -> str:
    """Return where the public tree keeps a file, relative to the index."""
    return f"files/{sha256}/{filename}"


def _release(entry: Mapping[str, Any], base: str) -> ReleaseListing:
    files = tuple(
        OfferFile(
            str(f["filename"]),
            str(f["sha256"]),
            base + file_path(str(f["sha256"]), str(f["filename"])),
            None if f.get("size") is None else int(f["size"]),
        )
        for f in entry["files"]
    )
    uploaded = entry.get("uploaded")
    yanked = entry.get("yanked")
    return ReleaseListing(
        version=str(entry["version"]),
        state=str(entry["state"]),
        uploaded=_aware(datetime.fromisoformat(uploaded)) if uploaded else None,
        requires_python=str(entry.get("requires_python") or ""),
        files=files,
        yanked=None if yanked in {None, False} else (yanked if isinstance(yanked, str) else ""),
    )


def _aware(when: datetime) -> datetime:
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def _summary(entry: Mapping[str, Any]) -> ProjectSummary:
    publisher = entry.get("publisher", "")
    keywords = entry.get("keywords") or ()
    return ProjectSummary(
        name=str(entry["name"]),
        summary=str(entry.get("summary") or ""),
        latest=str(entry.get("latest") or ""),
        publisher=str(publisher.get("name", "") if isinstance(publisher, dict) else publisher),
        type=str(entry.get("type") or ""),
        keywords=tuple(str(word) for word in keywords) if isinstance(keywords, list) else (str(keywords),),
    )


def _json(transport: Transport, path: str, limit: int) -> Any:
    try:
        return json.loads(transport.read(path, limit))
    except (ValueError, RecursionError) as error:
        raise _malformed(transport, path) from error


def _malformed(transport: Transport, path: str) -> MarketplaceError:
    return MarketplaceError(
        f"{transport.label} serves a malformed {path}", remedy="Try again later or tell the index' operator"
    )
