"""Publishers' attestations (PEP 740) against our own trusted root.

``pypi_attestations.Attestation.verify`` knows two public roots only, so the object is turned into a Sigstore
bundle and given to Sigstore's verifier with the trusted root of the index; what that verifier leaves to its
caller is checked here. Importing Sigstore costs most of a second of CPU, so it happens on first use.

Source: https://peps.python.org/pep-0740/ (attestation objects, provenance objects).
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from envcli_policy.errors import MalformedError, PolicyError
from envcli_policy.statements import (
    PAYLOAD_TYPE,
    STATEMENT_TYPE,
    Functionary,
    PredicateKind,
    Statement,
    Subject,
    VerifiedStatement,
)
from envcli_policy.strict_json import Fields, check_sha256, parse_json

if TYPE_CHECKING:
    from cryptography.x509 import Certificate
    from pypi_attestations import Attestation
    from sigstore.verify import Verifier
    from sigstore.verify.policy import VerificationPolicy

MAX_ATTESTATIONS_BYTES = 1024 * 1024
MAX_ATTESTATIONS = 8
PUBLISHER = "publisher"
_ISSUER_OID = "1.3.6.1.4.1.57264.1.8"


class AttestationError(PolicyError):
    """An attestation does not show what it must; subclasses say which part."""

    rule = "attestation-invalid"


class AttestationMissingError(AttestationError):
    """There is no publish attestation for the file."""

    rule = "attestation-missing"


class AttestationSubjectError(AttestationError):
    """The attestation is about another file."""

    rule = "attestation-subject-mismatch"


class AttestationIdentityError(AttestationError):
    """The certificate names another identity or issuer than expected."""

    rule = "attestation-identity"


@dataclass(frozen=True, slots=True)
class AttestationFacts:
    """What one verified attestation shows: who said which kind of thing about which file."""

    predicate_type: str
    identity: str
    issuer: str
    subject_name: str
    subject_sha256: str
    kind: PredicateKind
    sha256: str

    def as_statement(self) -> VerifiedStatement:
        """These facts in the form that a layout judges."""
        subject = Subject(self.subject_name, self.subject_sha256)
        uuid = self.identity.removeprefix(f"{self.issuer}/publishers/")
        who = Functionary(PUBLISHER, self.identity, self.identity, self.issuer, (uuid,))
        return VerifiedStatement(self.kind, Statement(self.predicate_type, (subject,), {}), who, self.sha256)


def verify_attestations(
    raw: bytes,
    *,
    filename: str,
    sha256: str,
    trusted_root: str,
    expected_identity: str | None,
    expected_issuer: str | None,
) -> tuple[AttestationFacts, ...]:
    """Verify every attestation of one file; one bad attestation refuses all.

    Args:
        raw: The JSON list of an upload form, or the provenance object of an index.
        filename: Name of the wheel or source archive.
        sha256: Digest of its bytes, hexadecimal.
        trusted_root: Sigstore trusted root, JSON.
        expected_identity: The URI that the certificate's subject alternative name must hold; None accepts any
            and leaves the comparison to the caller.
        expected_issuer: The OIDC issuer that the certificate must name; None as above.

    Returns:
        The facts, in document order; at least one is a publish attestation.

    Raises:
        MalformedError: Not JSON of that shape, too large, or too many.
        AttestationMissingError: No publish attestation among them.
        AttestationSubjectError: About another file name or digest, or about several.
        AttestationIdentityError: Made by another identity or issuer.
        AttestationError: Signature, certificate or transparency log entry do not hold.
    """
    wanted = Subject(filename, check_sha256(sha256, f"digest of {filename}"))
    verifier = _verifier(trusted_root)
    facts = tuple(
        _verify_one(attestation, verifier, wanted, expected_identity, expected_issuer)
        for attestation in _parse_attestations(raw, filename)
    )
    if not any(fact.kind is PredicateKind.PUBLISH for fact in facts):
        raise AttestationMissingError(
            f"{filename} has no publish attestation",
            remedy="Publish with 'envcli plugin publish', or with 'twine upload --attestations'",
        )
    return facts


def publish_predicate_type() -> str:
    """The predicate type of a publish attestation, as the library defines it."""
    from pypi_attestations import AttestationType

    return AttestationType.PYPI_PUBLISH_V1.value


def provenance_predicate_type() -> str:
    """The predicate type of SLSA build provenance, as the library defines it."""
    from pypi_attestations import AttestationType

    return AttestationType.SLSA_PROVENANCE_V1.value


def parse_attestation_list(raw: bytes, what: str = "attestations") -> tuple[dict[str, Any], ...]:
    """The attestation objects of an upload form's list or of a provenance object, unverified.

    Raises:
        MalformedError: Neither of the two shapes, none, or more than ``MAX_ATTESTATIONS``.
    """
    value = parse_json(raw, limit=MAX_ATTESTATIONS_BYTES, what=what)
    items = value if isinstance(value, list) else list(_bundled(Fields(value, what)))
    if not all(isinstance(item, dict) for item in items):
        raise MalformedError(f"{what} must be a list of attestation objects")
    if len(items) > MAX_ATTESTATIONS:
        raise MalformedError(f"{what} holds {len(items)} attestations, the limit is {MAX_ATTESTATIONS}")
    return tuple(items)


def _bundled(provenance: Fields) -> Iterator[Any]:
    provenance.integer("version", low=1, high=1)
    for bundle in provenance.objects("attestation_bundles", limit=MAX_ATTESTATIONS):
        yield from bundle.items("attestations", limit=MAX_ATTESTATIONS)


def _parse_attestations(raw: bytes, filename: str) -> Iterator[Attestation]:
    from pydantic import ValidationError
    from pypi_attestations import Attestation

    for number, item in enumerate(parse_attestation_list(raw, f"attestations of {filename}"), 1):
        try:
            yield Attestation.model_validate(item)
        except ValidationError as error:
            where = ".".join(str(part) for part in error.errors()[0]["loc"])
            raise MalformedError(f"attestation {number} of {filename} is malformed at {where!r}") from error


@functools.lru_cache(maxsize=4)
def _verifier_for(digest: str, trusted_root: str) -> Verifier:  # noqa: ARG001 the digest keys the cache
    from sigstore.errors import Error as SigstoreError
    from sigstore.models import TrustedRoot
    from sigstore.verify import Verifier
    from sigstore_models.trustroot.v1 import TrustedRoot as TrustedRootDocument

    try:
        return Verifier(trusted_root=TrustedRoot(TrustedRootDocument.from_json(trusted_root)))
    except (ValueError, SigstoreError) as error:
        raise MalformedError("the Sigstore trusted root of the index cannot be read") from error


def _verifier(trusted_root: str) -> Verifier:
    return _verifier_for(hashlib.sha256(trusted_root.encode()).hexdigest(), trusted_root)


def _verify_one(
    attestation: Attestation, verifier: Verifier, wanted: Subject, identity: str | None, issuer: str | None
) -> AttestationFacts:
    signer = _SignerPolicy(attestation, wanted.name, identity, issuer)
    payload = _verified_payload(attestation, verifier, signer, wanted.name)
    predicate_type, subject = _parse_payload(payload, wanted.name)
    if subject != wanted:
        raise AttestationSubjectError(
            f"the attestation of {wanted.name} is about {subject.name} with SHA-256 {subject.sha256[:16]}…, "
            f"the file has {wanted.sha256[:16]}…",
            remedy="Sign exactly the file that is uploaded",
        )
    return AttestationFacts(
        predicate_type,
        signer.seen_identity,
        signer.seen_issuer,
        subject.name,
        subject.sha256,
        _kind(predicate_type, wanted.name),
        hashlib.sha256(attestation.model_dump_json().encode()).hexdigest(),
    )


def _verified_payload(
    attestation: Attestation, verifier: Verifier, signer: _SignerPolicy, filename: str
) -> bytes:
    """Certificate chain, SCT, identity, log inclusion, times and signature, by Sigstore's verifier."""
    try:
        payload_type, payload = verifier.verify_dsse(attestation.to_bundle(), signer)
    except PolicyError:
        raise
    except Exception as error:  # three libraries parse what a stranger sent, each with errors of its own
        raise AttestationError(
            f"the attestation of {filename} does not verify: {_first_line(error)}",
            remedy="Sign the file again; the certificate authority and log of this index must have issued it",
        ) from error
    if payload_type != PAYLOAD_TYPE:
        raise AttestationError(f"the attestation of {filename} carries no in-toto statement")
    return payload


class _SignerPolicy:
    """Sigstore verification policy: exactly one identity, a URI, from one issuer, both as expected.

    Args:
        attestation: The attestation that carries the certificate.
        filename: How errors name the file.
        identity: The expected identity, None to accept any.
        issuer: The expected issuer, None to accept any.
    """

    def __init__(
        self, attestation: Attestation, filename: str, identity: str | None, issuer: str | None
    ) -> None:
        self._attestation = attestation
        self._filename = filename
        self._identity = identity
        self._issuer = issuer
        self.seen_identity = ""
        self.seen_issuer = ""

    def verify(self, cert: Certificate) -> None:
        """Check the certificate, whose chain was verified before, and keep what it names.

        Raises:
            AttestationIdentityError: Another identity or issuer, several identities, or none.
        """
        from sigstore.errors import VerificationError
        from sigstore.verify.policy import AllOf, Identity, OIDCIssuerV2

        self.seen_identity = self._one_uri(cert)
        self.seen_issuer = self._one_issuer()
        identity, issuer = self._identity or self.seen_identity, self._issuer or self.seen_issuer
        policies: list[VerificationPolicy] = [
            Identity(identity=identity, issuer=issuer),
            OIDCIssuerV2(issuer),
        ]
        try:
            AllOf(policies).verify(cert)
        except VerificationError as error:
            raise AttestationIdentityError(
                f"{self._filename} was not signed by {identity} (issuer {issuer}): {_first_line(error)}",
                remedy="Sign with the publisher's own account",
            ) from error

    def _one_uri(self, cert: Certificate) -> str:
        from cryptography.x509 import ExtensionNotFound, SubjectAlternativeName, UniformResourceIdentifier

        try:
            names = list(cert.extensions.get_extension_for_class(SubjectAlternativeName).value)
        except ExtensionNotFound:
            names = []
        if len(names) != 1 or not isinstance(names[0], UniformResourceIdentifier):
            raise AttestationIdentityError(
                f"the certificate that signed {self._filename} must name exactly one identity, a URI",
                remedy="E-mail addresses are not accepted: they can pass to another person",
            )
        return names[0].value

    def _one_issuer(self) -> str:
        issuer = self._attestation.certificate_claims.get(_ISSUER_OID)
        if not issuer:
            raise AttestationIdentityError(f"the certificate that signed {self._filename} names no issuer")
        return issuer


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def _parse_payload(payload: bytes, filename: str) -> tuple[str, Subject]:
    what = f"attestation statement of {filename}"
    fields = Fields(parse_json(payload, limit=MAX_ATTESTATIONS_BYTES, what=what), what)
    if fields.text("_type", limit=100) != STATEMENT_TYPE:
        raise MalformedError(f"{what}: the type must be {STATEMENT_TYPE}")
    subjects = fields.objects("subject", limit=100)
    if len(subjects) != 1:
        raise AttestationSubjectError(f"{what} speaks about {len(subjects)} files, it must be exactly one")
    digest = check_sha256(subjects[0].mapping("digest").get("sha256"), f"{what}: 'sha256'")
    return fields.text("predicateType", limit=500), Subject(subjects[0].text("name", limit=500), digest)


def _kind(predicate_type: str, filename: str) -> PredicateKind:
    if predicate_type == publish_predicate_type():
        return PredicateKind.PUBLISH
    if predicate_type == provenance_predicate_type():
        return PredicateKind.PROVENANCE
    raise AttestationError(
        f"the attestation of {filename} has the predicate type {predicate_type[:200]!r}",
        remedy="PEP 740 indexes accept publish attestations and SLSA provenance",
    )
