"""Whether one release may be installed: facts and trust in, verdict out, no I/O.

The steps run in this order, and each takes what the one before it returned, so none can be left out or moved:

1. **Freshness.** The TUF timestamp has not expired and does not come from the future.
2. **Release target.** The TUF target names this project, version and wheel, in an installable state.
3. **Takedowns.** No takedown names the project's version or any digest involved, dependencies included.
4. **Verdict.** The VSA is the one whose digest the release target pins, was signed by a gate key that was valid
   at its time, speaks about this wheel and this release, and says ``PASSED``.
5. **Publisher.** The publish attestation of the wheel verifies, and was made by exactly the publisher whom the
   release target and the VSA name.
6. **Capability.** The capability statement is the one that the VSA pins, was signed by a vetting key, speaks about
   this wheel, and lists nothing undeclared.
7. **Closure.** Every dependency file that is to be installed stands in the VSA with the same name and digest.

TUF signatures themselves are checked by the TUF client before its targets come here. Wheel bytes are compared
with `Verdict.wheel` and `Verdict.closure` after the download.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from envcli_policy.attestation import AttestationFacts, verify_attestations
from envcli_policy.errors import PolicyError
from envcli_policy.security_policy import SecurityPolicy, default_policy
from envcli_policy.statements import KeyRing
from envcli_policy.vetting import ReleaseState


class VerificationError(PolicyError):
    """A release does not verify; subclasses name the step."""

    rule = "release-unverified"


class StaleError(VerificationError):
    """Trust metadata expired or comes from the future."""

    rule = "trust-stale"


class ReleaseRecordError(VerificationError):
    """The release target does not describe what is to be installed."""

    rule = "release-mismatch"


class TakenDownError(VerificationError):
    """A takedown names the release or one of its files."""

    rule = "taken-down"


class VerdictError(VerificationError):
    """The verification summary is not the pinned one, not by the gate, not about this, or not PASSED."""

    rule = "vsa-invalid"


class PublisherError(VerificationError):
    """The wheel was not published by the publisher whom trust metadata names."""

    rule = "publisher-mismatch"


class CapabilityError(VerificationError):
    """The capability statement is not the pinned one, or it lists something undeclared."""

    rule = "capability-invalid"


class ClosureError(VerificationError):
    """A dependency file is not the one that was vetted."""

    rule = "closure-mismatch"


class AttestationVerifier(Protocol):
    """The shape of `envcli_policy.attestation.verify_attestations`."""

    def __call__(
        self,
        raw: bytes,
        *,
        filename: str,
        sha256: str,
        trusted_root: str,
        expected_identity: str | None,
        expected_issuer: str | None,
    ) -> tuple[AttestationFacts, ...]: ...


@dataclass(frozen=True, slots=True)
class FileDigest:
    """A file by name and lower-case hexadecimal SHA-256."""

    filename: str
    sha256: str


@dataclass(frozen=True, slots=True)
class ReleaseEvidence:
    """What was collected about one release; all of it untrusted but for the two TUF targets.

    Attributes:
        project: Normalized project name that the user asked for.
        version: Version that was resolved.
        wheel: The plugin's wheel that is to be installed.
        release_target: TUF target ``releases/<project>/<version>.json``.
        takedowns: TUF target ``takedowns.json``.
        vsa: Envelope of the verification summary.
        capability: Envelope of the capability statement.
        attestations: PEP 740 provenance object (or upload list) of the wheel.
        closure: The dependency wheels that are to be installed with it.
    """

    project: str
    version: str
    wheel: FileDigest
    release_target: bytes
    takedowns: bytes
    vsa: bytes
    capability: bytes
    attestations: bytes
    closure: tuple[FileDigest, ...] = ()


@dataclass(frozen=True, slots=True)
class TrustMaterial:
    """What is believed: pinned keys, the Sigstore trusted root (JSON), and when the TUF timestamp expires."""

    keys: KeyRing
    trusted_root: str
    timestamp_expires: datetime
    policy: SecurityPolicy = field(default_factory=default_policy)
    attestation_verifier: AttestationVerifier = verify_attestations


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
    """The signed capability statement: the manifest word for word, what the code was seen to do, what differs."""

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
    issued: str
    advisory: str | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """A release that passed every step. `closure` is all that was vetted, a superset of what was asked."""

    project: str
    project_uuid: str
    version: str
    state: ReleaseState
    publisher: Publisher
    wheel: FileDigest
    result: str
    levels: tuple[str, ...]
    time_verified: datetime
    reviewed_by: tuple[str, ...]
    closure: tuple[ClosureFile, ...]
    capability: CapabilityReport


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
    raise NotImplementedError


def parse_takedowns(data: bytes) -> tuple[Takedown, ...]:
    """Parse the TUF target ``takedowns.json``.

    Raises:
        MalformedError: Not the documented shape.
    """
    raise NotImplementedError


def verify_not_taken_down(
    takedowns: tuple[Takedown, ...], project: str, version: str, digests: Mapping[str, str] | Any
) -> None:
    """Check a release against the takedowns.

    Args:
        takedowns: From `parse_takedowns`.
        project: Normalized name.
        version: Version.
        digests: Iterable of every SHA-256 involved: the wheel's and its dependencies'.

    Raises:
        TakenDownError: One of them is named; the message carries reason and advisory.
    """
    raise NotImplementedError
