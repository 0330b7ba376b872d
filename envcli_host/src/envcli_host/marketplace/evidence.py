"""Collects what vouches for a release and lets the policy judge it."""

import json
from datetime import UTC, datetime

from envcli_policy import verifier
from envcli_policy.errors import PolicyError
from envcli_policy.statements import KeyRing
from envcli_policy.verifier import FileDigest, ReleaseEvidence, TrustMaterial, Verdict

from envcli_host.errors import StaleTrustError, TakenDownError, VerificationError
from envcli_host.marketplace.model import OfferFile
from envcli_host.marketplace.transport import MissingFileError, Transport
from envcli_host.marketplace.trust import IndexTrust

MAX_STATEMENT = 8 * 1024 * 1024


def verify_release(
    project: str, version: str, wheel: OfferFile, trust: IndexTrust, transport: Transport
) -> Verdict:
    """Fetch the evidence for one wheel and verify all of it against ``trust``.

    Args:
        project: normalized name.
        version: as the index lists it.
        wheel: the file that is to be installed.
        trust: fresh trust of the index.
        transport: towards the same index.

    Raises:
        TakenDownError: a takedown covers the release or something it needs.
        StaleTrustError: the trust metadata is not fresh.
        VerificationError: some evidence is missing or wrong.
        MarketplaceError: it cannot be fetched.
    """
    evidence = _collect(project, version, wheel, trust, transport)
    try:
        return verifier.verify_release(evidence, _material(trust), datetime.now(UTC))
    except verifier.TakenDownError as error:
        raise TakenDownError(error.message, remedy=error.remedy) from error
    except verifier.StaleError as error:
        raise StaleTrustError(error.message, remedy=error.remedy) from error
    except PolicyError as error:
        raise VerificationError(f"{project} {version}: {error.message}", remedy=error.remedy) from error


def read_evidence(transport: Transport, path: str, limit: int, label: str) -> bytes:
    """Return a document that must exist for a release.

    Raises:
        VerificationError: the index lacks it.
        MarketplaceError: it cannot be fetched.
    """
    try:
        return transport.read(path, limit)
    except MissingFileError as error:
        raise VerificationError(
            f"{transport.label} lacks evidence for {label}: {path}", remedy="Report it to the index' operator"
        ) from error


def _collect(
    project: str, version: str, wheel: OfferFile, trust: IndexTrust, transport: Transport
) -> ReleaseEvidence:
    label, statements = f"{project} {version}", f"statements/{project}/{version}"
    target = trust.target(f"releases/{project}/{version}.json")
    if target is None:
        raise VerificationError(
            f"{transport.label} lists {label} but does not sign it", remedy="Report it to the index' operator"
        )

    def read(path: str) -> bytes:
        return read_evidence(transport, path, MAX_STATEMENT, label)

    return ReleaseEvidence(
        project=project,
        version=version,
        wheel=FileDigest(wheel.filename, wheel.sha256),
        release_target=target,
        takedowns=trust.takedowns,
        vsa=read(f"{statements}/vsa.dsse.json"),
        capability=read(f"{statements}/capability.dsse.json"),
        attestations=read(f"integrity/{project}/{version}/{wheel.filename}/provenance"),
    )


def _material(trust: IndexTrust) -> TrustMaterial:
    try:
        root = json.dumps(json.loads(trust.client_trust_config)["trustedRoot"])
    except (ValueError, KeyError, TypeError) as error:
        raise VerificationError(
            f"the Sigstore trust configuration of index {trust.index.name} is malformed",
            remedy="Report it to the index' operator",
        ) from error
    return TrustMaterial(KeyRing.from_json(trust.keys), root, trust.expires)
