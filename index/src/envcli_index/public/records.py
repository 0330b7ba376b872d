"""The JSON documents about a project that the site and hosts read. Pure: rows in, plain values out."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from envcli_policy.permissions import risk_of
from envcli_policy.release import Publisher
from envcli_policy.vetting import ReleaseState
from envcli_sdk import parse_manifest

from envcli_index.releases import Release, StoredStatement

SHOWN = (ReleaseState.RELEASED, ReleaseState.YANKED, ReleaseState.QUARANTINED, ReleaseState.REMOVED)
WITH_FILES = (ReleaseState.RELEASED, ReleaseState.YANKED)


def instant(when: datetime | None) -> str | None:
    """Return a time as RFC 3339 in UTC."""
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if when else None


def publisher_record(publisher: Publisher) -> dict[str, str]:
    """Return who published."""
    return {
        "uuid": publisher.uuid,
        "name": publisher.name,
        "identity": publisher.identity,
        "issuer": publisher.issuer,
    }


def manifest_record(text: str) -> dict[str, Any]:
    """Return the parts of a manifest that people decide by, each permission with its risk."""
    manifest = parse_manifest(text)
    return {
        "id": manifest.id,
        "type": str(manifest.type),
        "minimum_host_version": manifest.minimum_host_version,
        "contributes": [
            {"kind": str(one.kind), "name": one.name, "summary": one.summary} for one in manifest.contributes
        ],
        "permissions": [
            {
                "permission": str(one.permission),
                "scope": one.scope,
                "reason": one.reason,
                "risk": str(risk_of(one)),
            }
            for one in manifest.permissions
        ],
    }


def takedown_record(takedown: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return what people are told about the order that took a release down, ``None`` where there is none."""
    if takedown is None:
        return None
    kept = {name: takedown[name] for name in ("id", "reason", "severity", "advisory")}
    return kept | {"issued": instant(takedown["issued"])}


def status_reason(newest: Release, takedown: Mapping[str, Any] | None) -> str | None:
    """Return why a project has another status than active (PEP 792), with the takedown that ordered it."""
    if newest.project_status == "active":
        return None
    if takedown is None:
        return newest.reason
    named = [takedown["id"], f"severity {takedown['severity']}", takedown["advisory"]]
    return f"{takedown['reason']} ({', '.join(one for one in named if one)})"


def release_record(
    release: Release, verdict: Mapping[str, Any] | None, takedown: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Return one release as the project's record lists it.

    Args:
        release: the release.
        verdict: result, reviewers, time and rules; ``None`` before the gate spoke.
        takedown: from ``releases.takedown_of``.
    """
    has_files = release.state in WITH_FILES
    return {
        "version": release.version,
        "state": str(release.state),
        "uploaded": instant(release.uploaded),
        "released": instant(release.promoted),
        "requires_python": release.core_metadata.get("requires_python"),
        "requires_dist": release.core_metadata.get("requires_dist", []),
        "files": [
            {"filename": file.filename, "sha256": file.sha256, "size": file.size} for file in release.wheels
        ]
        if has_files
        else [],
        "manifest": manifest_record(release.manifest),
        "verdict": dict(verdict) if verdict else None,
        "yanked": release.yanked,
        "reason": release.reason,
        "takedown": takedown_record(takedown),
    }


def project_record(
    releases: Sequence[Release],
    verdicts: Mapping[str, Mapping[str, Any]],
    takedowns: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    """Return everything that the site and hosts show about a project.

    Args:
        releases: at least one shown release, oldest version first.
        verdicts: by version.
        takedowns: by version, of those that were taken down.
    """
    newest = newest_release(releases)
    fields = newest.core_metadata
    return {
        "name": newest.project,
        "project_uuid": newest.project_uuid,
        "publisher": publisher_record(newest.publisher),
        "status": newest.project_status,
        "status_reason": status_reason(newest, takedowns.get(newest.version)),
        "type": manifest_record(newest.manifest)["type"],
        "latest": newest.version,
        "created": instant(min(release.uploaded for release in releases)),
        "summary": fields.get("summary", ""),
        "description": fields.get("description", ""),
        "description_content_type": fields.get("description_content_type", "text/plain"),
        "author": fields.get("author", ""),
        "license": fields.get("license", ""),
        "keywords": fields.get("keywords", []),
        "categories": _categories(fields.get("classifiers", [])),
        "project_urls": fields.get("project_urls", {}),
        "releases": [
            release_record(one, verdicts.get(one.version), takedowns.get(one.version))
            for one in reversed(releases)
        ],
    }


def newest_release(releases: Sequence[Release]) -> Release:
    """Return the newest release that users get, or the newest at all where they get none."""
    good = [release for release in releases if release.state is ReleaseState.RELEASED]
    return (good or list(releases))[-1]


def summary_record(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the line of ``projects/index.json`` for a project's record."""
    kept = ("name", "summary", "latest", "publisher", "type", "keywords", "categories", "status", "created")
    return {name: record[name] for name in kept}


def vetting_record(
    release: Release,
    statements: Sequence[Mapping[str, Any]],
    observations: Sequence[Mapping[str, Any]],
    takedown: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Return the evidence page of a release: what reviewers, publisher and site see."""
    return {
        "project": release.project,
        "project_uuid": release.project_uuid,
        "version": release.version,
        "publisher": publisher_record(release.publisher),
        "state": str(release.state),
        "reason": release.reason,
        "takedown": takedown_record(takedown),
        "uploaded": instant(release.uploaded),
        "changed": instant(release.changed),
        "files": [
            {"filename": file.filename, "kind": file.kind, "sha256": file.sha256, "size": file.size}
            for file in release.files
        ],
        # a source archive may arrive before the wheel that holds the manifest
        "manifest": manifest_record(release.manifest) if release.manifest else None,
        "statements": list(statements),
        "observations": list(observations),
    }


def queue_record(releases: Sequence[Release]) -> list[dict[str, Any]]:
    """Return the releases that wait, longest first, without their contents."""
    return [
        {
            "project": release.project,
            "version": release.version,
            "publisher": release.publisher.name,
            "state": str(release.state),
            "uploaded": instant(release.uploaded),
        }
        for release in releases
    ]


def statement_name(statement: StoredStatement) -> str:
    """Return a statement's file name in the public tree."""
    return f"{statement.name}.dsse.json"


def _categories(classifiers: Sequence[str]) -> list[str]:
    topics = (one.removeprefix("Topic :: ") for one in classifiers if one.startswith("Topic :: "))
    return sorted(topics)
