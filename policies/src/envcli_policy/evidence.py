"""What the verifier takes and gives: evidence, trust, verdict, and one error per step that can fail."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from envcli_policy.attestation import AttestationFacts, verify_attestations
from envcli_policy.errors import PolicyError
from envcli_policy.release import CapabilityReport, ClosureFile, FileDigest, Publisher
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
    ) -> tuple[AttestationFacts, ...]:
        """Verify every attestation of one file."""
        ...


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
