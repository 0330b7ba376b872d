"""The verdict as a signed document: one verification summary (SLSA VSA v1) over every wheel of a release.

Source: https://slsa.dev/spec/v1.1/verification_summary
"""

import hashlib
from typing import Any

from envcli_policy.statements import VSA, PredicateKind, Statement, parse_statement, sign_statement

from envcli_index.database import read, utc_now, write
from envcli_index.gate.context import LAYOUT_TARGET, Gate, GateRefusalError
from envcli_index.gate.evidence import Evidence
from envcli_index.public.records import publisher_record
from envcli_index.releases import Release, add_statement, save_envelope, statements_of
from envcli_index.reviewers import timestamp

NAME = "vsa"
VETTED, REVIEWED = "ENVCLI_VETTED", "ENVCLI_REVIEWED"
_VOLATILE = frozenset({"timeVerified"})


def summarise(gate: Gate, release: Release, evidence: Evidence, layout: bytes) -> str:
    """Sign and keep the summary of a release that satisfies the layout; return the envelope's SHA-256.

    A summary that says the same already is used again, so a repeated promotion changes nothing.

    Raises:
        GateRefusalError: no capability statement covers the wheels.
    """
    predicate = _predicate(gate, release, evidence, layout)
    with read(gate.engine) as connection:
        kept = [row for row in statements_of(connection, release.id) if row.name == NAME]
    if kept and _says_the_same(gate.envelope(kept[0].sha256), release, predicate):
        return kept[0].sha256
    envelope = sign_statement(Statement(VSA, release.subjects, predicate), gate.signer)
    sha256 = hashlib.sha256(envelope).hexdigest()
    save_envelope(gate.config.statements, sha256, envelope)
    with write(gate.engine) as connection:
        add_statement(connection, release.id, NAME, VSA, sha256, gate.signer.public_key.keyid)
    return sha256


def kept_summary(gate: Gate, release: Release) -> str | None:
    """Return the SHA-256 of the summary that a promoted release has."""
    with read(gate.engine) as connection:
        rows = statements_of(connection, release.id)
    return next((row.sha256 for row in rows if row.name == NAME), None)


def _says_the_same(envelope: bytes, release: Release, predicate: dict[str, Any]) -> bool:
    old = parse_statement(envelope)
    same = {key: value for key, value in predicate.items() if key not in _VOLATILE}
    return old.subjects == release.subjects and same == {
        key: value for key, value in old.predicate.items() if key not in _VOLATILE
    }


def _predicate(gate: Gate, release: Release, evidence: Evidence, layout: bytes) -> dict[str, Any]:
    capability = evidence.covering(PredicateKind.CAPABILITY, release.subjects)
    if not capability:
        raise GateRefusalError(f"{release.label} has no capability statement over all its wheels")
    base = gate.config.public_url
    place = f"{base}/statements/{release.project}/{release.version}"
    reviewers = sorted({one.functionary.name for one in _approvals(evidence)})
    sources = [file.sha256 for file in release.files if file.kind == "sdist"]
    return {
        "verifier": {"id": base},
        "timeVerified": timestamp(utc_now()),
        "resourceUri": f"pkg:pypi/{release.project}@{release.version}",
        "policy": {"uri": f"{base}/tuf/targets/{LAYOUT_TARGET}", "digest": _digest(layout)},
        "inputAttestations": [
            {"uri": f"{place}/{evidence.names[one.sha256]}.dsse.json", "digest": {"sha256": one.sha256}}
            for one in evidence.statements
        ],
        "verificationResult": "PASSED",
        "verifiedLevels": [VETTED, REVIEWED] if reviewers else [VETTED],
        "envcli": {
            "project": release.project_uuid,
            "publisher": publisher_record(release.publisher),
            "closure": list(evidence.closure),
            "capability_sha256": capability[-1].sha256,
            "reviewed_by": reviewers,
            "source_archive_sha256": sources[0] if sources else None,
        },
    }


def _approvals(evidence: Evidence) -> list[Any]:
    decisions = (one for one in evidence.statements if one.kind is PredicateKind.DECISION)
    return [one for one in decisions if one.statement.predicate.get("decision") == "approve"]


def _digest(data: bytes) -> dict[str, str]:
    return {"sha256": hashlib.sha256(data).hexdigest()}
