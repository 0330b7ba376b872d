"""Renders the pages of the simple repository API, version 1.4, as HTML and JSON.

Sources: PEP 503 (HTML), PEP 592 (yank), PEP 658 and 714 (core metadata), PEP 691 (JSON), PEP 700 (size,
upload time, versions), PEP 740 (provenance), PEP 792 (project status).
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from typing import Any

API_VERSION = "1.4"
WITHOUT_FILES = frozenset(
    {"quarantined"}
)  # pip and uv install from a quarantined project if files are listed


@dataclass(frozen=True, kw_only=True)
class SimpleFile:
    """One distribution file of a project page.

    Attributes:
        filename: name of the wheel.
        url: absolute address of the file.
        sha256: hex digest of the file.
        size: bytes.
        uploaded: when it was uploaded, aware.
        metadata_sha256: hex digest of its core metadata, served at ``url + ".metadata"``.
        requires_python: the release's specifier, or ``None``.
        provenance: absolute address of its PEP 740 object, or ``None``.
        yanked: why the release was yanked, or ``None``.
    """

    filename: str
    url: str
    sha256: str
    size: int
    uploaded: datetime
    metadata_sha256: str | None = None
    requires_python: str | None = None
    provenance: str | None = None
    yanked: str | None = None


@dataclass(frozen=True, kw_only=True)
class SimplePage:
    """The page of one project.

    Attributes:
        name: normalized name (PEP 503).
        versions: every released version, oldest first.
        files: its files, oldest first.
        status: PEP 792 status.
        status_reason: why it has that status, or ``None``.
    """

    name: str
    versions: tuple[str, ...]
    files: tuple[SimpleFile, ...]
    status: str = "active"
    status_reason: str | None = None

    @property
    def listed(self) -> tuple[SimpleFile, ...]:
        """Return the files that the page shows: none for a quarantined project."""
        return () if self.status in WITHOUT_FILES else self.files


def render_json(page: SimplePage) -> bytes:
    """Return the JSON form of a project page."""
    status = {"status": page.status} | ({"reason": page.status_reason} if page.status_reason else {})
    return _dump(
        {
            "meta": {"api-version": API_VERSION},
            "name": page.name,
            "project-status": status,
            "versions": list(page.versions),
            "files": [_file_json(file) for file in page.listed],
        }
    )


def render_html(page: SimplePage) -> bytes:
    """Return the HTML form of a project page."""
    meta = f'<meta name="pypi:repository-version" content="{API_VERSION}">'
    meta += f'<meta name="pypi:project-status" content="{escape(page.status)}">'
    if page.status_reason:
        meta += f'<meta name="pypi:project-status-reason" content="{escape(page.status_reason)}">'
    return _document(f"Links for {page.name}", meta, (_anchor(file) for file in page.listed))


def render_list_json(names: Iterable[str]) -> bytes:
    """Return the JSON form of the list of projects."""
    projects = [{"name": name} for name in sorted(names)]
    return _dump({"meta": {"api-version": API_VERSION}, "projects": projects})


def render_list_html(names: Iterable[str]) -> bytes:
    """Return the HTML form of the list of projects."""
    meta = f'<meta name="pypi:repository-version" content="{API_VERSION}">'
    links = (f'<a href="{escape(name)}/">{escape(name)}</a>' for name in sorted(names))
    return _document("Simple index", meta, links)


def _file_json(file: SimpleFile) -> dict[str, Any]:
    core: bool | dict[str, str] = {"sha256": file.metadata_sha256} if file.metadata_sha256 else False
    entry: dict[str, Any] = {
        "filename": file.filename,
        "url": file.url,
        "hashes": {"sha256": file.sha256},
        "size": file.size,
        "upload-time": file.uploaded.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "core-metadata": core,
        "data-dist-info-metadata": core,
        "yanked": file.yanked if file.yanked is not None else False,
        "provenance": file.provenance,
    }
    if file.requires_python:
        entry["requires-python"] = file.requires_python
    return entry


def _anchor(file: SimpleFile) -> str:
    attributes = {"href": f"{file.url}#sha256={file.sha256}"}
    if file.requires_python:
        attributes["data-requires-python"] = file.requires_python
    if file.metadata_sha256:
        attributes["data-core-metadata"] = f"sha256={file.metadata_sha256}"
        attributes["data-dist-info-metadata"] = f"sha256={file.metadata_sha256}"
    if file.provenance:
        attributes["data-provenance"] = file.provenance
    if file.yanked is not None:
        attributes["data-yanked"] = file.yanked
    written = " ".join(f'{name}="{escape(value)}"' for name, value in attributes.items())
    return f"<a {written}>{escape(file.filename)}</a>"


def _document(title: str, meta: str, lines: Iterable[str]) -> bytes:
    body = "<br>\n".join(lines)
    head = f'<meta charset="utf-8">{meta}<title>{escape(title)}</title>'
    return f"<!DOCTYPE html>\n<html><head>{head}</head><body>\n{body}\n</body></html>\n".encode()


def _dump(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
