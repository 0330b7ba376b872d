"""The statements about a release whose signatures hold: all that the gate decides by."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from envcli_policy.attestation import verify_attestations
from envcli_policy.errors import PolicyError
from envcli_policy.statements import (
    KeyRing,
    KeyRole,
    PredicateKind,
    Subject,
    VerifiedStatement,
    verify_statement,
)

from envcli_index.database import read, utc_now
from envcli_index.enrolment import retired_keyids
from envcli_index.gate.context import Gate, GateRefusalError
from envcli_index.releases import Release, StoredStatement, closure_of, statements_of
from envcli_index.upload.verification import trusted_root

_JUDGED = frozenset(
    {PredicateKind.TEST_RESULT, PredicateKind.CAPABILITY, PredicateKind.VULNS, PredicateKind.DECISION}
)
_ROLES = (KeyRole.VETTING, KeyRole.REVIEWER, KeyRole.ADMIN)


@dataclass(frozen=True)
class Evidence:
    """What is known about a release.

    Attributes:
        statements: by bots and reviewers, verified now, about at least one of its present files.
        names: where each is kept, by digest.
        closure: name, version, filename and sha256 of every dependency wheel.
    """

    statements: tuple[VerifiedStatement, ...]
    names: dict[str, str]
    closure: tuple[dict[str, str], ...]

    def covering(self, kind: PredicateKind, subjects: tuple[Subject, ...]) -> list[VerifiedStatement]:
        """Return the statements of a kind that speak about every given file, oldest first."""
        wanted = set(subjects)
        return [one for one in self.statements if one.kind is kind and wanted <= set(one.statement.subjects)]


def collect(gate: Gate, release: Release) -> Evidence:
    """Read and verify the statements about a release; what does not verify counts as absent.

    So does a decision that was made on the evidence of an earlier vetting.
    """
    with read(gate.engine) as connection:
        retired = retired_keyids(connection)
        stored = statements_of(connection, release.id)
        closure = closure_of(connection, release.id)
    keys = gate.keys()
    verified = [one for row in stored for one in _verified(gate, keys, row)]
    vetted = {one.sha256 for one in verified if one.kind is PredicateKind.TEST_RESULT}
    counted = tuple(
        one
        for one in verified
        if one.functionary.identity not in retired
        and (one.kind is not PredicateKind.DECISION or one.statement.predicate.get("vetting") in vetted)
    )
    return Evidence(counted, {row.sha256: row.name for row in stored}, tuple(closure))


def _verified(gate: Gate, keys: KeyRing, row: StoredStatement) -> Iterator[VerifiedStatement]:
    envelope = gate.envelope(row.sha256)
    if hashlib.sha256(envelope).hexdigest() != row.sha256:
        raise GateRefusalError(
            f"the kept statement {row.sha256} was changed", remedy="Restore it from the backup"
        )
    try:
        statement = verify_statement(envelope, keys, _ROLES, utc_now())
    except PolicyError:
        return  # by the gate itself, or by a key that is no longer pinned
    if statement.kind in _JUDGED:
        yield statement


def publish_statements(gate: Gate, release: Release) -> tuple[VerifiedStatement, ...]:
    """Verify again what the publisher attested about every file.

    Raises:
        AttestationError: an attestation does not verify any more.
    """
    root = trusted_root(gate.config)
    facts = [
        fact
        for file in release.files
        for fact in verify_attestations(
            file.attestations.encode(),
            filename=file.filename,
            sha256=file.sha256,
            trusted_root=root,
            expected_identity=release.publisher.identity,
            expected_issuer=release.publisher.issuer,
        )
    ]
    return tuple(fact.as_statement() for fact in facts)
