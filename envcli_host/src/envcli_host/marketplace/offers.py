"""Find and fetch a release of a plugin, believing nothing that is not signed.

The order is fixed: refresh TUF metadata, takedowns, choose a version from the signed targets, verify the
verdict, the publish attestation and the capability statement, resolve the closure without running code and hold
every file of it against the signed closure. Any failure raises and nothing on disk has changed but the cache of
verified metadata.
"""

from pathlib import Path

from envcli_host.config import HostPaths
from envcli_host.marketplace.model import (
    Capability,
    ObservedUse,
    Offer,
    OfferFile,
    OfferVerdict,
    Progress,
    Publisher,
)

__all__ = [
    "Capability",
    "ObservedUse",
    "Offer",
    "OfferFile",
    "OfferVerdict",
    "Publisher",
    "download_offer",
    "find_offer",
]


def find_offer(
    project: str,
    version: str | None,
    paths: HostPaths,
    progress: Progress | None = None,
    *,
    index_name: str | None = None,
) -> Offer:
    """Return the verified offer of one release.

    Args:
        project: name of the plugin's project, in any spelling that normalizes (PEP 503).
        version: exact version, or None for the newest that is not yanked and fits this machine.
        paths: where pinned roots and cached metadata live.
        progress: told about longer transfers.
        index_name: ask only this index; otherwise the first configured one that holds the project.

    Raises:
        UnknownIndexError: no index is configured, or not this one.
        OfferNotFoundError: no release fits.
        TakenDownError: the release has been withdrawn.
        StaleTrustError: the index serves expired metadata.
        VerificationError: some evidence is missing or wrong.
        MarketplaceError: the index is unreachable or answers nonsense.
    """
    raise NotImplementedError


def download_offer(offer: Offer, directory: Path, progress: Progress | None = None) -> tuple[Path, ...]:
    """Fetch every file of ``offer`` into ``directory`` (which must exist) and compare digests.

    Returns:
        The paths written, the plugin's own wheel first.

    Raises:
        VerificationError: a digest differs, or the wheel's METADATA or manifest is not the one that was verified.
        MarketplaceError: a transfer failed. Whatever was written is removed again.
    """
    raise NotImplementedError
