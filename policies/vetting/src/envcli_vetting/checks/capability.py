"""Declared against seen: every permission that the code uses must stand in the manifest.

An undeclared use refuses the release; a declared permission that is never used is pointed out; code that is
made or reached at run time goes to a person, since it cannot be read. Reading the source does not replace
the sandbox: it makes honest manifests the easy way, and dishonest ones visible.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from envcli_sdk import ManifestError, PermissionName, PluginManifest

from envcli_vetting.capability.scan import MAX_SOURCE_BYTES, CodeFacts, SuspiciousText, Use, scan_sources
from envcli_vetting.capability.table import DYNAMIC, load_table
from envcli_vetting.errors import ArchiveError, CheckSkippedError
from envcli_vetting.observation import Confidence, Findings, Observation, Severity, error, review, warning
from envcli_vetting.tree import ReleaseTree

_EVIDENCE = 20
_UNSEEN = frozenset({PermissionName.API_CALL})


@dataclass(frozen=True)
class CapabilityCheck:
    """See the module."""

    id: ClassVar[str] = "capability"
    version: ClassVar[str] = "1"
    required: ClassVar[bool] = True
    seconds: ClassVar[float] = 60

    def run(self, tree: ReleaseTree) -> Findings:
        """Compare the manifest with the code."""
        try:
            manifest = tree.manifest()
        except (ArchiveError, ManifestError) as broken:
            raise CheckSkippedError(f"the manifest cannot be read: {broken}") from broken
        sources = {name: _read(path) for name, path in tree.python_files()}
        seen = scan_sources(sources)
        return Findings(tuple(_observations(manifest, seen)), _facts(manifest, seen))


CHECK = CapabilityCheck()


def _read(path: Any) -> bytes:
    with path.open("rb") as file:
        content: bytes = file.read(MAX_SOURCE_BYTES + 1)
    return content


def _observations(manifest: PluginManifest, seen: CodeFacts) -> Iterator[Observation]:
    declared = {request.permission for request in manifest.permissions}
    yield from _unreadable(seen)
    for use in _first_of_each(seen.uses):
        if use.permission == DYNAMIC:
            yield _dynamic(use)
        elif use.permission not in declared:
            yield _undeclared(use)
    for permission in _unused(manifest, seen):
        yield warning(
            "permission-unused",
            f"{permission} is declared but no use of it was seen",
            path="plugin.toml",
            why="A permission that is not needed only helps whoever takes the plugin over",
            fix="Remove it from plugin.toml if the plugin works without it",
        )
    yield from _texts(seen.texts)


def _undeclared(use: Use) -> Observation:
    severity = Severity.ERROR
    if use.is_mediated:
        severity = Severity.WARNING
    elif use.confidence is not Confidence.HIGH:
        severity = Severity.REVIEW
    return Observation(
        rule="permission-undeclared",
        severity=severity,
        confidence=use.confidence,
        path=use.path,
        line=use.line,
        evidence=f"{use.name} uses {use.permission}, which plugin.toml does not declare",
        why="Users consent to what the manifest declares; the sandbox denies the rest",
        fix=f"Declare {use.permission} with its scope and reason, or remove the code",
    )


def _dynamic(use: Use) -> Observation:
    return review(
        "dynamic-code",
        f"{use.name}: code or names that only exist at run time",
        path=use.path,
        line=use.line,
        why="What it does cannot be read from the source",
        fix="Write the call out; load data with json or tomllib",
    )


def _unreadable(seen: CodeFacts) -> Iterator[Observation]:
    for path, problem in seen.unreadable:
        yield error(
            "source-unreadable",
            f"{path}: {problem}",
            path=path,
            why="Code that cannot be read cannot be compared with the manifest",
            fix="Ship plain Python source of ordinary size that Python 3.11 can parse",
        )


def _texts(texts: Iterable[SuspiciousText]) -> Iterator[Observation]:
    for one in list(texts)[:_EVIDENCE]:
        yield review(
            one.rule,
            f"{one.text!r} is a place where secrets are kept",
            path=one.path,
            line=one.line,
            why="Plugins get credentials from envcli, never from the user's files or the cloud's metadata service",
            fix="Declare a config field of type secret, or variable:read on a named environment",
        )


def _unused(manifest: PluginManifest, seen: CodeFacts) -> list[str]:
    implied = load_table().implied.get(manifest.type, ())
    used = {use.permission for use in seen.uses} | set(implied) | _UNSEEN
    return sorted({request.permission for request in manifest.permissions} - used)


def _undeclared_permissions(manifest: PluginManifest, seen: CodeFacts) -> list[str]:
    declared = {request.permission for request in manifest.permissions}
    certain = {
        use.permission for use in seen.uses if not use.is_mediated and use.confidence is Confidence.HIGH
    }
    return sorted(certain - declared - {DYNAMIC})


def _first_of_each(uses: Iterable[Use]) -> Iterator[Use]:
    """At most ``_EVIDENCE`` uses of each permission, certain ones first, so that a report stays readable."""
    counts: dict[str, int] = {}
    order = {Confidence.HIGH: 0, Confidence.MEDIUM: 1, Confidence.LOW: 2}
    for use in sorted(uses, key=lambda one: (order[one.confidence], one.path, one.line)):
        counts[use.permission] = counts.get(use.permission, 0) + 1
        if counts[use.permission] <= _EVIDENCE:
            yield use


def _facts(manifest: PluginManifest, seen: CodeFacts) -> dict[str, Any]:
    """The capability predicate."""
    places: dict[str, list[dict[str, Any]]] = {}
    for permission, path, line in dict.fromkeys(
        (use.permission, use.path, use.line) for use in _first_of_each(seen.uses)
    ):
        places.setdefault(permission, []).append({"path": path, "line": line})
    return {
        "manifest": manifest.text,
        "manifest_sha256": hashlib.sha256(manifest.text.encode()).hexdigest(),
        "observed": [{"permission": name, "evidence": places[name]} for name in sorted(places)],
        "undeclared": _undeclared_permissions(manifest, seen),
        "unused": _unused(manifest, seen),
    }
