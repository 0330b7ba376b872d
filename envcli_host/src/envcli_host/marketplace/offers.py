"""Find and fetch a release of a plugin, believing nothing that is not signed.

The order is fixed: refresh TUF metadata, choose a version, then let ``envcli_policy.verifier`` judge release
target, takedowns, verdict, publish attestation and capability statement, and resolve the dependencies from
nothing but the signed closure. Any failure raises, and nothing on disk has changed but caches of verified
data.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from envcli_policy.verifier import Verdict

from envcli_host.config import HostPaths
from envcli_host.errors import OfferNotFoundError, VerificationError
from envcli_host.marketplace.catalog import (
    ProjectListing,
    ReleaseListing,
    fetch_project,
    file_path,
    full_name,
)
from envcli_host.marketplace.closure import resolve_closure, split_requirements
from envcli_host.marketplace.evidence import read_evidence, verify_release
from envcli_host.marketplace.freshness import ALL_VERSIONS, verify_not_taken_down
from envcli_host.marketplace.indexes import select_indexes
from envcli_host.marketplace.model import (
    Capability,
    ObservedUse,
    Offer,
    OfferFile,
    OfferVerdict,
    Progress,
    Publisher,
)
from envcli_host.marketplace.selection import choose_release
from envcli_host.marketplace.transport import Transport
from envcli_host.marketplace.trust import IndexTrust, refresh

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

MAX_METADATA = 4 * 1024 * 1024
MAX_WHEEL = 1024 * 1024 * 1024
SIZE_SLACK = 64 * 1024


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
        project: name of the plugin's project, with or without ``envcli-plugin-``, in any spelling that
            normalizes (PEP 503).
        version: exact version, or None for the newest that is not yanked and fits this machine.
        paths: where pinned roots and cached metadata live.
        progress: told about longer steps.
        index_name: ask only this index; otherwise the first configured one that holds the project.

    Raises:
        UnknownIndexError: no index is configured, or not this one.
        OfferNotFoundError: no release fits.
        TakenDownError: the release has been withdrawn.
        StaleTrustError: the index serves expired metadata.
        VerificationError: some evidence is missing or wrong.
        MarketplaceError: the index is unreachable or answers nonsense.
    """
    name = full_name(project)
    missing = OfferNotFoundError(f"no index holds {name}")
    for index in select_indexes(paths, index_name):
        with Transport(index.url, f"index {index.name}") as transport:
            trust = refresh(index, paths, transport)
            try:
                listing = fetch_project(transport, name)
            except OfferNotFoundError as error:
                verify_not_taken_down(trust.takedowns, name, version or ALL_VERSIONS, ())
                missing = error
                continue
            release, wheel = choose_release(listing, version, trust.takedowns, transport.label)
            _tell(progress, f"verifying {name} {release.version}")
            verdict = verify_release(name, release.version, wheel, trust, transport)
            _tell(progress, f"resolving {name} {release.version}")
            needs = _resolve(wheel, verdict, trust, transport, paths)
            return _assemble(trust, listing, release, verdict, needs)
    raise missing


def download_offer(offer: Offer, directory: Path, progress: Progress | None = None) -> tuple[Path, ...]:
    """Fetch every file of ``offer`` into ``directory`` (which must exist) and compare digests.

    Returns:
        The paths written, the plugin's own wheel first.

    Raises:
        VerificationError: a digest differs, or the wheel's METADATA is not what its closure was resolved from.
        MarketplaceError: a transfer failed. Whatever was written is removed again.
    """
    written: list[Path] = []
    try:
        with Transport(offer.index_url, f"index {offer.index_name}") as transport:
            for file in (offer.wheel, *offer.closure):
                target = directory / _safe_filename(file.filename)
                path = file_path(file.sha256, file.filename)
                limit = MAX_WHEEL if file.size is None else min(file.size + SIZE_SLACK, MAX_WHEEL)
                transport.download(path, target, file.sha256, limit, progress)
                written.append(target)
        _verify_metadata(written[0], offer.core_metadata_sha256)
    except BaseException:
        for done in written:
            done.unlink(missing_ok=True)
        raise
    return tuple(written)


@dataclass(frozen=True)
class _Needs:
    """The wheel and what it requires here."""

    wheel: OfferFile
    metadata_sha256: str
    plugins: tuple[str, ...]
    closure: tuple[OfferFile, ...]


def _resolve(
    wheel: OfferFile, verdict: Verdict, trust: IndexTrust, transport: Transport, paths: HostPaths
) -> _Needs:
    label = f"{verdict.project} {verdict.version}"
    path = f"{file_path(wheel.sha256, wheel.filename)}.metadata"
    metadata = read_evidence(transport, path, MAX_METADATA, label)
    plugins, libraries = split_requirements(metadata, label)
    vetted = tuple(
        OfferFile(file.filename, file.sha256, trust.index.url + file_path(file.sha256, file.filename))
        for file in verdict.closure
    )
    closure = resolve_closure(libraries, vetted, label, _key(trust, verdict), paths)
    return _Needs(wheel, hashlib.sha256(metadata).hexdigest(), plugins, closure)


def _assemble(
    trust: IndexTrust, listing: ProjectListing, release: ReleaseListing, verdict: Verdict, needs: _Needs
) -> Offer:
    who = verdict.publisher
    return Offer(
        index_name=trust.index.name,
        index_url=trust.index.url,
        project=verdict.project,
        project_uuid=verdict.project_uuid,
        version=verdict.version,
        publisher=Publisher(who.uuid, who.name, who.identity, who.issuer),
        manifest_text=verdict.capability.manifest,
        capability=_capability(verdict),
        verdict=OfferVerdict(verdict.result, verdict.reviewed_by, verdict.time_verified),
        uploaded=release.uploaded,
        wheel=needs.wheel,
        closure=needs.closure,
        plugin_dependencies=needs.plugins,
        core_metadata_sha256=needs.metadata_sha256,
        warning=_warning(listing, release),
    )


def _capability(verdict: Verdict) -> Capability:
    report = verdict.capability
    return Capability(
        report.manifest_sha256,
        tuple(ObservedUse(use.permission, use.evidence) for use in report.observed),
        report.undeclared,
        report.unused,
    )


def _warning(listing: ProjectListing, release: ReleaseListing) -> str:
    if release.yanked is not None:
        return f"{listing.name} {release.version} was yanked: {release.yanked or 'no reason given'}"
    if listing.status not in {"active", ""}:
        return f"{listing.name} is {listing.status}"
    return ""


def _key(trust: IndexTrust, verdict: Verdict) -> str:
    """Name the resolver's private index by all that it holds."""
    listed = "\n".join(f"{file.sha256} {file.filename}" for file in verdict.closure)
    return hashlib.sha256(f"{trust.index.url}\n{listed}".encode()).hexdigest()


def _tell(progress: Progress | None, what: str) -> None:
    if progress is not None:
        progress(what, 0, None)


def _safe_filename(filename: str) -> str:
    if Path(filename).name != filename or filename.startswith("."):
        raise VerificationError(f"{filename[:200]!r} is no safe file name")
    return filename


def _verify_metadata(wheel: Path, sha256: str) -> None:
    if hashlib.sha256(_read_metadata(wheel)).hexdigest() != sha256:
        raise VerificationError(
            f"{wheel.name} holds another METADATA than the index serves beside it",
            remedy="Report it to the index' operator",
        )


def _read_metadata(wheel: Path) -> bytes:
    try:
        with ZipFile(wheel) as archive:
            found = [
                item
                for item in archive.infolist()
                if item.filename.count("/") == 1 and item.filename.endswith(".dist-info/METADATA")
            ]
            if len(found) != 1 or found[0].file_size > MAX_METADATA:
                raise VerificationError(f"{wheel.name} does not hold exactly one METADATA of ordinary size")
            return archive.read(found[0])
    except (BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError) as error:
        raise VerificationError(f"{wheel.name} is no readable wheel: {error}") from error
