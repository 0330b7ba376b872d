"""Which release of a project to take: the newest that is whole, fits this machine and was not withdrawn."""

import platform

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from envcli_host.errors import MarketplaceError, OfferNotFoundError, TakenDownError, UsageError
from envcli_host.marketplace.catalog import ProjectListing, ReleaseListing
from envcli_host.marketplace.closure import best_wheel
from envcli_host.marketplace.freshness import ALL_VERSIONS, verify_not_taken_down
from envcli_host.marketplace.model import OfferFile

_INSTALLABLE_STATES = {"released", "yanked"}
_CLOSED_STATUSES = {"quarantined"}
_SHOWN_REASONS = 3


def choose_release(
    listing: ProjectListing, version: str | None, takedowns: bytes, label: str
) -> tuple[ReleaseListing, OfferFile]:
    """Return the release to offer and its wheel for this interpreter.

    Args:
        listing: what the index lists; whatever is chosen from it must still be verified.
        version: exact version, which may be yanked or a pre-release; None for the newest final one that is not.
        takedowns: the signed list.
        label: how messages call the index.

    Raises:
        TakenDownError: that version, or all that would fit, have been withdrawn.
        OfferNotFoundError: nothing fits; the message tells why.
        UsageError: ``version`` is no version.
    """
    verify_not_taken_down(takedowns, listing.name, version or ALL_VERSIONS, ())
    if listing.status in _CLOSED_STATUSES:
        raise OfferNotFoundError(
            f"{listing.name} is {listing.status} on {label}", remedy="Ask the index' operator why"
        )
    reasons, withdrawn = [], None
    for release in _candidates(listing, version):
        try:
            wheel, reason = _fitting(listing.name, release, takedowns, explicit=version is not None)
        except TakenDownError as error:
            withdrawn = withdrawn or error
            continue
        if wheel is not None:
            return release, wheel
        reasons.append(f"{release.version}: {reason}")
    if withdrawn is not None:
        raise withdrawn
    wanted = f"{listing.name} {version}" if version else f"release of {listing.name} that fits this machine"
    why = f" ({'; '.join(reasons[:_SHOWN_REASONS])})" if reasons else ""
    raise OfferNotFoundError(
        f"{label} has no {wanted}{why}", remedy=f"Run: envcli plugin info {listing.name}"
    )


def _candidates(listing: ProjectListing, version: str | None) -> list[ReleaseListing]:
    """Newest first; pre-releases only where nothing else exists."""
    wanted = None if version is None else _parse_version(version)
    try:
        by_version = {Version(release.version): release for release in listing.releases}
    except InvalidVersion as error:
        raise MarketplaceError(f"the index lists an unusable version of {listing.name}: {error}") from error
    if wanted is not None:
        return [by_version[wanted]] if wanted in by_version else []
    final = [each for each in by_version if not each.is_prerelease]
    return [by_version[each] for each in sorted(final or by_version, reverse=True)]


def _parse_version(text: str) -> Version:
    try:
        return Version(text)
    except InvalidVersion as error:
        raise UsageError(f"{text!r} is no version", remedy="Write one like 1.2.0") from error


def _fitting(
    project: str, release: ReleaseListing, takedowns: bytes, *, explicit: bool
) -> tuple[OfferFile | None, str]:
    """Return the wheel to take from ``release``, or None and the reason; raises TakenDownError."""
    verify_not_taken_down(takedowns, project, release.version, tuple(file.sha256 for file in release.files))
    if release.state not in _INSTALLABLE_STATES:
        return None, release.state
    if not explicit and (release.yanked is not None or release.state == "yanked"):
        return None, "yanked"
    if not _fits_python(release.requires_python):
        return None, f"needs Python {release.requires_python}"
    wheel = best_wheel(release.files)
    if wheel is None:
        return None, "no wheel for this Python and platform"
    return wheel, ""


def _fits_python(requires_python: str) -> bool:
    try:
        return SpecifierSet(requires_python).contains(platform.python_version(), prereleases=True)
    except InvalidSpecifier:
        return False
