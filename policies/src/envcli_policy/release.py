"""The documents of a release in typed form: release target, takedowns, verdict and capability predicates.

Parsing says only that a document has its shape. What it is worth is decided by `envcli_policy.verifier`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from envcli_policy.errors import MalformedError
from envcli_policy.statements import Statement
from envcli_policy.strict_json import Fields, check_sha256, parse_json
from envcli_policy.vetting import ReleaseState

MAX_TARGET_BYTES = 16 * 1024 * 1024
MAX_CLOSURE = 2000


@dataclass(frozen=True, slots=True)
class FileDigest:
    """A file by name and lower-case hexadecimal SHA-256."""

    filename: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Publisher:
    """Who published: uuid, display name, identity URI of the certificate, and its OIDC issuer."""

    uuid: str
    name: str
    identity: str
    issuer: str


@dataclass(frozen=True, slots=True)
class ClosureFile:
    """One vetted dependency wheel."""

    name: str
    version: str
    filename: str
    sha256: str


@dataclass(frozen=True, slots=True)
class CapabilityFinding:
    """One use of a permission in the code: the permission and where, as (path, line)."""

    permission: str
    evidence: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class CapabilityReport:
    """The signed capability statement: the manifest word for word, what the code was seen to do, what
    differs.
    """

    manifest: str
    manifest_sha256: str
    observed: tuple[CapabilityFinding, ...]
    undeclared: tuple[str, ...]
    unused: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Takedown:
    """One entry of ``takedowns.json``; `versions` may hold ``*``."""

    id: str
    project: str
    versions: tuple[str, ...]
    sha256: tuple[str, ...]
    reason: str
    severity: str
    issued: datetime
    advisory: str | None

    def concerns(self, project: str, version: str, digests: Iterable[str]) -> bool:
        """Whether the release, or any of these digests, is meant."""
        named = self.project == project and ("*" in self.versions or version in self.versions)
        return named or not set(self.sha256).isdisjoint(digests)


@dataclass(frozen=True, slots=True)
class ReleaseRecord:
    """TUF target ``releases/<project>/<version>.json``: the identity, files, verdict digest and state."""

    project: str
    project_uuid: str
    version: str
    publisher: Publisher
    files: tuple[FileDigest, ...]
    vsa_sha256: str
    state: ReleaseState


@dataclass(frozen=True, slots=True)
class VerificationSummary:
    """The predicate of a verification summary (SLSA VSA v1) with the fields that envcli adds."""

    verifier: str
    time_verified: datetime
    resource_uri: str
    result: str
    levels: tuple[str, ...]
    project_uuid: str
    publisher: Publisher
    closure: tuple[ClosureFile, ...]
    capability_sha256: str
    reviewed_by: tuple[str, ...]


def closure_digest(files: Iterable[ClosureFile]) -> str:
    """Return the SHA-256 (hexadecimal) over name, version, file name and digest of every dependency wheel.

    The vetting statement carries it, so that the gate and a reviewer's decision are bound to this closure and to no
    other. The order of `files` does not matter.
    """
    rows = sorted([file.filename, file.sha256, file.name, file.version] for file in files)
    return hashlib.sha256(json.dumps(rows, separators=(",", ":")).encode()).hexdigest()


def parse_release_record(data: bytes) -> ReleaseRecord:
    """Parse the TUF target of one release.

    Raises:
        MalformedError: Not the documented shape.
    """
    fields = Fields(parse_json(data, limit=MAX_TARGET_BYTES, what="release target"), "release target")
    digests = fields.mapping("files").items()
    return ReleaseRecord(
        project=fields.text("project", limit=200),
        project_uuid=fields.text("project_uuid", limit=100),
        version=fields.text("version", limit=200),
        publisher=_parse_publisher(fields.object("publisher")),
        files=tuple(
            FileDigest(name, check_sha256(digest, f"release target: {name!r}")) for name, digest in digests
        ),
        vsa_sha256=fields.sha256("vsa_sha256"),
        state=_parse_state(fields),
    )


def parse_takedowns(data: bytes) -> tuple[Takedown, ...]:
    """Parse the TUF target ``takedowns.json``.

    Raises:
        MalformedError: Not the documented shape.
    """
    fields = Fields(parse_json(data, limit=MAX_TARGET_BYTES, what="takedown list"), "takedown list")
    fields.integer("version", low=1, high=1)
    return tuple(_parse_takedown(entry) for entry in fields.objects("takedowns", limit=100_000))


def parse_summary(statement: Statement) -> VerificationSummary:
    """Parse the predicate of a verification summary.

    Raises:
        MalformedError: A field is missing or of the wrong type.
    """
    fields = Fields(statement.predicate, "verification summary")
    ours = fields.object("envcli")
    closure = ours.objects("closure", limit=MAX_CLOSURE)
    return VerificationSummary(
        verifier=fields.object("verifier").text("id", limit=500),
        time_verified=fields.time("timeVerified"),
        resource_uri=fields.text("resourceUri", limit=500),
        result=fields.text("verificationResult", limit=20),
        levels=fields.texts("verifiedLevels", limit=50),
        project_uuid=ours.text("project", limit=100),
        publisher=_parse_publisher(ours.object("publisher")),
        closure=tuple(_parse_closure_file(entry) for entry in closure),
        capability_sha256=ours.sha256("capability_sha256"),
        reviewed_by=ours.texts("reviewed_by", limit=100),
    )


def parse_capability(statement: Statement) -> CapabilityReport:
    """Parse the predicate of a capability statement.

    Raises:
        MalformedError: A field is missing or of the wrong type, or the manifest's digest is not its own.
    """
    fields = Fields(statement.predicate, "capability statement")
    manifest, digest = fields.text("manifest"), fields.sha256("manifest_sha256")
    if hashlib.sha256(manifest.encode()).hexdigest() != digest:
        raise MalformedError("capability statement: the manifest's SHA-256 is not its own")
    return CapabilityReport(
        manifest=manifest,
        manifest_sha256=digest,
        observed=tuple(_parse_finding(entry) for entry in fields.objects("observed", limit=1000)),
        undeclared=fields.texts("undeclared", limit=1000),
        unused=fields.texts("unused", limit=1000),
    )


def _parse_state(fields: Fields) -> ReleaseState:
    try:
        return ReleaseState(fields.text("state", limit=30))
    except ValueError as error:
        raise MalformedError(f"{fields.what}: the state must be one of {', '.join(ReleaseState)}") from error


def _parse_publisher(fields: Fields) -> Publisher:
    return Publisher(
        uuid=fields.text("uuid", limit=100),
        name=fields.text("name", limit=200),
        identity=fields.text("identity", limit=500),
        issuer=fields.text("issuer", limit=500),
    )


def _parse_closure_file(fields: Fields) -> ClosureFile:
    return ClosureFile(
        name=fields.text("name", limit=200),
        version=fields.text("version", limit=200),
        filename=fields.text("filename", limit=500),
        sha256=fields.sha256("sha256"),
    )


def _parse_takedown(fields: Fields) -> Takedown:
    return Takedown(
        id=fields.text("id", limit=100),
        project=fields.text("project", limit=200),
        versions=fields.texts("versions", limit=1000),
        sha256=tuple(check_sha256(digest, f"{fields.what}: 'sha256'") for digest in fields.items("sha256")),
        reason=fields.text("reason", limit=5000),
        severity=fields.text("severity", limit=20),
        issued=fields.time("issued"),
        advisory=fields.optional_text("advisory", limit=500),
    )


def _parse_finding(fields: Fields) -> CapabilityFinding:
    evidence = fields.objects("evidence", limit=1000)
    return CapabilityFinding(
        permission=fields.text("permission", limit=100),
        evidence=tuple(
            (one.text("path", limit=1000), one.integer("line", low=0, high=10**9)) for one in evidence
        ),
    )
