"""Whether one release may be installed: facts and trust in, verdict out, no I/O.

The steps run in this order, and each takes what the one before it returned, so none can be left out or moved:

1. **Freshness.** The TUF timestamp has not expired and does not lie further ahead than a timestamp lives.
2. **Release target.** The TUF target names this project, version and wheel, in an installable state.
3. **Takedowns.** No takedown names the project's version or any digest involved, dependencies included.
4. **Verdict.** The VSA is the one whose digest the release target pins, was signed by a gate key that was
   valid at its time, speaks about this wheel and this release, and says ``PASSED``.
5. **Publisher.** The publish attestation of the wheel verifies, and was made by exactly the publisher whom
   the release target and the VSA name.
6. **Capability.** The capability statement is the one that the VSA pins, was signed by a vetting key,
   speaks about this wheel, and lists nothing undeclared.
7. **Closure.** Every dependency file that is to be installed stands in the VSA with the same name and digest.

TUF signatures themselves are checked by the TUF client before its targets come here. Wheel bytes are compared
with `Verdict.wheel` and `Verdict.closure` after the download.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from envcli_policy.attestation import AttestationFacts
from envcli_policy.evidence import (
    AttestationVerifier,
    CapabilityError,
    ClosureError,
    PublisherError,
    ReleaseEvidence,
    ReleaseRecordError,
    StaleError,
    TakenDownError,
    TrustMaterial,
    Verdict,
    VerdictError,
    VerificationError,
)
from envcli_policy.release import (
    CapabilityFinding,
    CapabilityReport,
    ClosureFile,
    FileDigest,
    Publisher,
    ReleaseRecord,
    Takedown,
    VerificationSummary,
    parse_capability,
    parse_release_record,
    parse_summary,
    parse_takedowns,
)
from envcli_policy.statements import (
    CAPABILITY,
    VSA,
    KeyRole,
    Statement,
    Subject,
    parse_statement,
    verify_envelope,
)
from envcli_policy.vetting import INSTALLABLE

__all__ = [
    "AttestationVerifier",
    "CapabilityError",
    "CapabilityFinding",
    "CapabilityReport",
    "ClosureError",
    "ClosureFile",
    "FileDigest",
    "Publisher",
    "PublisherError",
    "ReleaseEvidence",
    "ReleaseRecordError",
    "StaleError",
    "Takedown",
    "TakenDownError",
    "TrustMaterial",
    "Verdict",
    "VerdictError",
    "VerificationError",
    "parse_takedowns",
    "verify_not_taken_down",
    "verify_release",
]


def verify_release(evidence: ReleaseEvidence, trust: TrustMaterial, now: datetime) -> Verdict:
    """Verify one release; the module's text lists the steps.

    Args:
        evidence: What was collected about the release.
        trust: What is believed.
        now: The present time, with zone.

    Returns:
        The verdict, to be shown to the user and recorded.

    Raises:
        MalformedError: A document is not the documented shape.
        SignatureError: An envelope was not signed by a pinned key of the right role.
        AttestationError: The publish attestation does not verify.
        VerificationError: A step failed; the subclass names it.
    """
    fresh = _check_freshness(evidence, trust, now)
    listed = _check_release_target(fresh)
    standing = _check_takedowns(listed)
    judged = _verify_summary(standing)
    published = _verify_publisher(judged)
    capable = _verify_capability(published)
    return _verify_closure(capable)


def verify_not_taken_down(
    takedowns: Iterable[Takedown], project: str, version: str, digests: Iterable[str]
) -> None:
    """Check a release against the takedowns.

    Args:
        takedowns: From `parse_takedowns`.
        project: Normalized name.
        version: Version.
        digests: Every SHA-256 involved: the wheel's and its dependencies'.

    Raises:
        TakenDownError: One of them is named; the message carries reason and advisory.
    """
    involved = frozenset(digests)
    for takedown in takedowns:
        if takedown.concerns(project, version, involved):
            advisory = f", see {takedown.advisory}" if takedown.advisory else ""
            raise TakenDownError(
                f"{project} {version} was taken down on {takedown.issued:%Y-%m-%d} ({takedown.severity}): "
                f"{takedown.reason}{advisory}",
                remedy="Remove it, or install a version that is not affected",
            )


@dataclass(frozen=True, slots=True)
class _Fresh:
    """After step 1."""

    evidence: ReleaseEvidence
    trust: TrustMaterial
    now: datetime


@dataclass(frozen=True, slots=True)
class _Listed(_Fresh):
    """After step 2."""

    record: ReleaseRecord


@dataclass(frozen=True, slots=True)
class _Standing(_Listed):
    """After step 3."""

    takedowns: tuple[Takedown, ...]


@dataclass(frozen=True, slots=True)
class _Judged(_Standing):
    """After step 4."""

    summary: VerificationSummary


@dataclass(frozen=True, slots=True)
class _Published(_Judged):
    """After step 5."""

    facts: tuple[AttestationFacts, ...]


@dataclass(frozen=True, slots=True)
class _Capable(_Published):
    """After step 6."""

    capability: CapabilityReport


def _check_freshness(evidence: ReleaseEvidence, trust: TrustMaterial, now: datetime) -> _Fresh:
    """(1) An attacker who replays old metadata cannot hide a takedown longer than a timestamp lives."""
    if now >= trust.timestamp_expires:
        raise StaleError(
            f"the trust metadata of the index expired at {trust.timestamp_expires:%Y-%m-%d %H:%M} UTC",
            remedy="Check the machine's clock and the connection to the index, then try again",
        )
    if trust.timestamp_expires > now + trust.policy.timestamp_life + trust.policy.clock_tolerance:
        raise StaleError(
            f"the trust metadata of the index lives until {trust.timestamp_expires:%Y-%m-%d %H:%M} UTC, "
            "longer than metadata made now could",
            remedy="Check the machine's clock",
        )
    return _Fresh(evidence, trust, now)


def _check_release_target(case: _Fresh) -> _Listed:
    """(2) The signed list of releases is the only authority on which file a version consists of."""
    evidence = case.evidence
    record = parse_release_record(evidence.release_target)
    label = f"{evidence.project} {evidence.version}"
    if (record.project, record.version) != (evidence.project, evidence.version):
        raise ReleaseRecordError(f"the release target of {label} describes {record.project} {record.version}")
    if evidence.wheel not in record.files:
        raise ReleaseRecordError(
            f"{evidence.wheel.filename} with SHA-256 {evidence.wheel.sha256[:16]}… is no file of {label}",
            remedy="The index or its mirror serves another file than it signed; report it",
        )
    _check_wheel_name(evidence)
    if record.state not in INSTALLABLE:
        raise ReleaseRecordError(f"{label} is {record.state}", remedy="Choose another version")
    return _Listed(evidence, case.trust, case.now, record)


def _check_wheel_name(evidence: ReleaseEvidence) -> None:
    try:
        name, version, _, _ = parse_wheel_filename(evidence.wheel.filename)
        wanted = (canonicalize_name(evidence.project), Version(evidence.version))
    except (InvalidWheelFilename, InvalidVersion) as error:
        raise ReleaseRecordError(f"{evidence.wheel.filename[:200]!r} is no wheel file name") from error
    if (name, version) != wanted:
        raise ReleaseRecordError(
            f"{evidence.wheel.filename} is no wheel of {evidence.project} {evidence.version}"
        )


def _check_takedowns(case: _Listed) -> _Standing:
    """(3) A takedown counts whatever any verdict says."""
    evidence = case.evidence
    takedowns = parse_takedowns(evidence.takedowns)
    digests = [evidence.wheel.sha256, *(file.sha256 for file in evidence.closure)]
    verify_not_taken_down(takedowns, evidence.project, evidence.version, digests)
    return _Standing(evidence, case.trust, case.now, case.record, takedowns)


def _verify_summary(case: _Standing) -> _Judged:
    """(4) The gate saw every step of the layout; its word is pinned, signed, about this file, and PASSED."""
    label = f"{case.evidence.project} {case.evidence.version}"
    if hashlib.sha256(case.evidence.vsa).hexdigest() != case.record.vsa_sha256:
        raise VerdictError(f"the verification summary of {label} is not the one that the release target pins")
    claimed = parse_summary(parse_statement(case.evidence.vsa))
    if claimed.time_verified > case.now + case.trust.policy.clock_tolerance:
        raise VerdictError(
            f"the verification summary of {label} lies in the future", remedy="Check the clock"
        )
    statement = verify_envelope(case.evidence.vsa, case.trust.keys, KeyRole.GATE, claimed.time_verified)
    _check_predicate(statement, VSA, case, VerdictError)
    _check_summary(claimed, case, label)
    return _Judged(case.evidence, case.trust, case.now, case.record, case.takedowns, claimed)


def _check_summary(summary: VerificationSummary, case: _Standing, label: str) -> None:
    if summary.result != "PASSED":
        raise VerdictError(f"the verdict on {label} is {summary.result}, not PASSED")
    resource = f"pkg:pypi/{case.evidence.project}@{case.evidence.version}"
    if summary.resource_uri != resource:
        raise VerdictError(f"the verification summary speaks about {summary.resource_uri}, not {resource}")
    if (summary.project_uuid, summary.publisher) != (case.record.project_uuid, case.record.publisher):
        raise VerdictError(f"verification summary and release target of {label} name different publishers")
    digests = [file.sha256 for file in summary.closure]
    verify_not_taken_down(case.takedowns, case.evidence.project, case.evidence.version, digests)


def _verify_publisher(case: _Judged) -> _Published:
    """(5) The publisher's own signature over this wheel, by the identity that trust metadata names."""
    publisher = case.record.publisher
    facts = case.trust.attestation_verifier(
        case.evidence.attestations,
        filename=case.evidence.wheel.filename,
        sha256=case.evidence.wheel.sha256,
        trusted_root=case.trust.trusted_root,
        expected_identity=publisher.identity,
        expected_issuer=publisher.issuer,
    )
    seen = {(fact.identity, fact.issuer, fact.subject_sha256) for fact in facts}
    if seen != {(publisher.identity, publisher.issuer, case.evidence.wheel.sha256)}:
        raise PublisherError(
            f"{case.evidence.wheel.filename} was not published by {publisher.name} ({publisher.identity})"
        )
    return _Published(case.evidence, case.trust, case.now, case.record, case.takedowns, case.summary, facts)


def _verify_capability(case: _Published) -> _Capable:
    """(6) What the user is about to consent to is what the index saw, signed."""
    envelope, label = case.evidence.capability, case.evidence.wheel.filename
    if hashlib.sha256(envelope).hexdigest() != case.summary.capability_sha256:
        raise CapabilityError(f"the capability statement of {label} is not the one that the verdict pins")
    statement = verify_envelope(envelope, case.trust.keys, KeyRole.VETTING, case.summary.time_verified)
    _check_predicate(statement, CAPABILITY, case, CapabilityError)
    report = parse_capability(statement)
    if report.undeclared:
        raise CapabilityError(
            f"{label} does what its manifest does not declare: {', '.join(report.undeclared)}"
        )
    return _Capable(
        case.evidence, case.trust, case.now, case.record, case.takedowns, case.summary, case.facts, report
    )


def _verify_closure(case: _Capable) -> Verdict:
    """(7) Dependencies carry no attestation of ours; the verdict's list is what vouches for them."""
    vetted = {(file.filename, file.sha256) for file in case.summary.closure}
    for file in case.evidence.closure:
        if (file.filename, file.sha256) not in vetted:
            raise ClosureError(
                f"the dependency {file.filename} with SHA-256 {file.sha256[:16]}… was not vetted with "
                f"{case.evidence.project} {case.evidence.version}",
                remedy="Resolve from this index only, and again: the verdict may have been renewed",
            )
    record, summary = case.record, case.summary
    return Verdict(
        project=record.project,
        project_uuid=record.project_uuid,
        version=record.version,
        state=record.state,
        publisher=record.publisher,
        wheel=case.evidence.wheel,
        result=summary.result,
        levels=summary.levels,
        time_verified=summary.time_verified,
        reviewed_by=summary.reviewed_by,
        closure=summary.closure,
        capability=case.capability,
    )


def _check_predicate(
    statement: Statement, predicate_type: str, case: _Listed, error: type[VerificationError]
) -> None:
    wheel = case.evidence.wheel
    if statement.predicate_type != predicate_type:
        raise error(f"expected a statement of type {predicate_type}, got {statement.predicate_type[:200]}")
    if Subject(wheel.filename, wheel.sha256) not in statement.subjects:
        raise error(f"the statement {predicate_type} is not about {wheel.filename}")
