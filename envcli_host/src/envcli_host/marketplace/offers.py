"""Find and fetch a release of a plugin, believing nothing that is not signed.

The order is fixed: refresh TUF metadata, choose a version, then let ``envcli_policy.verifier`` judge release
target, takedowns, verdict, publish attestation and capability statement, and resolve the dependencies from
nothing but the signed closure. Any failure raises, and nothing on disk has changed but caches of verified
data.
"""

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from envcli_policy.errors import PolicyError
from envcli_policy.statements import KeyRing
from envcli_policy.verifier import (
    FileDigest,
    ReleaseEvidence,
    StaleError,
    TrustMaterial,
    Verdict,
    verify_release,
)
from envcli_policy.verifier import TakenDownError as PolicyTakenDownError
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from envcli_host.config import HostPaths
from envcli_host.errors import (
    MarketplaceError,
    OfferNotFoundError,
    StaleTrustError,
    TakenDownError,
    UsageError,
    VerificationError,
)
from envcli_host.marketplace.catalog import (
    ProjectListing,
    ReleaseListing,
    fetch_project,
    file_path,
)
from envcli_host.marketplace.closure import best_wheel, resolve_closure, split_requirements
from envcli_host.marketplace.freshness import verify_not_taken_down
from envcli_host.marketplace.indexes import IndexRecord, select_indexes
from envcli_host.marketplace.model import (
    Capability,
    ObservedUse,
    Offer,
    OfferFile,
    OfferVerdict,
    Progress,
    Publisher,
)
from envcli_host.marketplace.transport import MissingFileError, Transport
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

MAX_STATEMENT = 8 * 1024 * 1024
MAX_METADATA = 4 * 1024 * 1024
MAX_WHEEL = 1024 * 1024 * 1024
_INSTALLABLE_STATES = {"released", "yanked"}
_CLOSED_STATUSES = {"quarantined"}


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
    name = canonicalize_name(project)
    missing: OfferNotFoundError | None = None
    for index in select_indexes(paths, index_name):
        with Transport(index.url, f"index {index.name}") as transport:
            trust = refresh(index, paths, transport)
            try:
                listing = fetch_project(transport, name)
            except OfferNotFoundError as error:
                verify_not_taken_down(trust.takedowns, name, version or "*", ())
                missing = error
                continue
            return _Finder(index, trust, transport, paths, progress).offer(listing, version)
    raise missing or OfferNotFoundError(f"no configured index holds {name}")


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
                transport.download(path, target, file.sha256, MAX_WHEEL, progress)
                written.append(target)
        _verify_metadata(written[0], offer.core_metadata_sha256)
    except BaseException:
        for done in written:
            done.unlink(missing_ok=True)
        raise
    return tuple(written)


class _Finder:
    """One search in one index, over one connection and one view of its trust."""

    def __init__(
        self,
        index: IndexRecord,
        trust: IndexTrust,
        transport: Transport,
        paths: HostPaths,
        progress: Progress | None,
    ) -> None:
        self.index = index
        self.trust = trust
        self.transport = transport
        self.paths = paths
        self.progress = progress

    def offer(self, listing: ProjectListing, version: str | None) -> Offer:
        if listing.status in _CLOSED_STATUSES:
            raise OfferNotFoundError(
                f"{listing.name} is {listing.status} on index {self.index.name}",
                remedy="Ask the index' operator why",
            )
        release, wheel = self._choose(listing, version)
        label = f"{listing.name} {release.version}"
        self._tell(f"verifying {label}")
        verdict = self._verify(listing.name, release.version, wheel)
        metadata = self._read(f"{file_path(wheel.sha256, wheel.filename)}.metadata", MAX_METADATA, label)
        plugins, libraries = split_requirements(metadata, label)
        self._tell(f"resolving the dependencies of {label}")
        closure = resolve_closure(libraries, self._vetted(verdict), label, _key(verdict), self.paths)
        return self._assemble(release, wheel, verdict, metadata, plugins, closure, _warning(listing, release))

    def _choose(self, listing: ProjectListing, version: str | None) -> tuple[ReleaseListing, OfferFile]:
        if version is not None:
            verify_not_taken_down(self.trust.takedowns, listing.name, version, ())
        reasons = []
        for release in _candidates(listing, version):
            wheel, reason = self._fitting(listing.name, release, explicit=version is not None)
            if wheel is not None:
                return release, wheel
            reasons.append(f"{release.version}: {reason}")
        verify_not_taken_down(self.trust.takedowns, listing.name, version or "*", ())
        wanted = (
            f"{listing.name} {version}" if version else f"a release of {listing.name} that fits this machine"
        )
        why = f" ({'; '.join(reasons[:3])})" if reasons else ""
        raise OfferNotFoundError(
            f"index {self.index.name} has no {wanted}{why}", remedy=f"Run: envcli plugin info {listing.name}"
        )

    def _fitting(
        self, project: str, release: ReleaseListing, *, explicit: bool
    ) -> tuple[OfferFile | None, str]:
        if release.state not in _INSTALLABLE_STATES:
            return None, release.state
        if not explicit and (release.yanked is not None or release.state == "yanked"):
            return None, "yanked"
        if not _fits_python(release.requires_python):
            return None, f"needs Python {release.requires_python}"
        wheel = best_wheel(release.files)
        if wheel is None:
            return None, "no wheel for this Python and platform"
        if not explicit:
            try:
                verify_not_taken_down(self.trust.takedowns, project, release.version, (wheel.sha256,))
            except TakenDownError as error:
                return None, error.message
        return wheel, ""

    def _verify(self, project: str, version: str, wheel: OfferFile) -> Verdict:
        label = f"{project} {version}"
        target = self.trust.target(f"releases/{project}/{version}.json")
        if target is None:
            raise VerificationError(
                f"index {self.index.name} lists {label} but does not sign it",
                remedy="Report it to the index' operator",
            )
        statements = f"statements/{project}/{version}"
        evidence = ReleaseEvidence(
            project=project,
            version=version,
            wheel=FileDigest(wheel.filename, wheel.sha256),
            release_target=target,
            takedowns=self.trust.takedowns,
            vsa=self._read(f"{statements}/vsa.dsse.json", MAX_STATEMENT, label),
            capability=self._read(f"{statements}/capability.dsse.json", MAX_STATEMENT, label),
            attestations=self._read(
                f"integrity/{project}/{version}/{wheel.filename}/provenance", MAX_STATEMENT, label
            ),
        )
        try:
            return verify_release(evidence, self._material(), datetime.now(UTC))
        except PolicyTakenDownError as error:
            raise TakenDownError(error.message, remedy=error.remedy) from error
        except StaleError as error:
            raise StaleTrustError(error.message, remedy=error.remedy) from error
        except PolicyError as error:
            raise VerificationError(f"{label}: {error.message}", remedy=error.remedy) from error

    def _material(self) -> TrustMaterial:
        try:
            root = json.dumps(json.loads(self.trust.client_trust_config)["trustedRoot"])
        except (ValueError, KeyError, TypeError) as error:
            raise VerificationError(
                f"the Sigstore trust configuration of index {self.index.name} is malformed"
            ) from error
        return TrustMaterial(KeyRing.from_json(self.trust.keys), root, self.trust.expires)

    def _vetted(self, verdict: Verdict) -> tuple[OfferFile, ...]:
        return tuple(
            OfferFile(file.filename, file.sha256, self.index.url + file_path(file.sha256, file.filename))
            for file in verdict.closure
        )

    def _assemble(
        self,
        release: ReleaseListing,
        wheel: OfferFile,
        verdict: Verdict,
        metadata: bytes,
        plugins: tuple[str, ...],
        closure: tuple[OfferFile, ...],
        warning: str,
    ) -> Offer:
        who, report = verdict.publisher, verdict.capability
        return Offer(
            index_name=self.index.name,
            index_url=self.index.url,
            project=verdict.project,
            project_uuid=verdict.project_uuid,
            version=verdict.version,
            publisher=Publisher(who.uuid, who.name, who.identity, who.issuer),
            manifest_text=report.manifest,
            capability=Capability(
                report.manifest_sha256,
                tuple(ObservedUse(use.permission, use.evidence) for use in report.observed),
                report.undeclared,
                report.unused,
            ),
            verdict=OfferVerdict(verdict.result, verdict.reviewed_by, verdict.time_verified),
            uploaded=release.uploaded,
            wheel=wheel,
            closure=closure,
            plugin_dependencies=plugins,
            core_metadata_sha256=hashlib.sha256(metadata).hexdigest(),
            warning=warning,
        )

    def _read(self, path: str, limit: int, label: str) -> bytes:
        try:
            return self.transport.read(path, limit)
        except MissingFileError as error:
            raise VerificationError(
                f"index {self.index.name} lacks evidence for {label}: {path}",
                remedy="Report it to the index' operator",
            ) from error

    def _tell(self, what: str) -> None:
        if self.progress is not None:
            self.progress(what, 0, None)


def _candidates(listing: ProjectListing, version: str | None) -> list[ReleaseListing]:
    """Newest first; pre-releases only where nothing else exists."""
    try:
        by_version = {Version(release.version): release for release in listing.releases}
        if version is not None:
            wanted = Version(version)
            return [by_version[wanted]] if wanted in by_version else []
    except InvalidVersion as error:
        if version is not None and str(error).find(version) >= 0:
            raise UsageError(f"{version!r} is no version", remedy="Write one like 1.2.0") from error
        raise MarketplaceError(f"the index lists an unusable version of {listing.name}: {error}") from error
    final = [v for v in by_version if not v.is_prerelease]
    return [by_version[v] for v in sorted(final or by_version, reverse=True)]


def _fits_python(requires_python: str) -> bool:
    import platform

    try:
        return SpecifierSet(requires_python).contains(platform.python_version(), prereleases=True)
    except InvalidSpecifier:
        return False


def _warning(listing: ProjectListing, release: ReleaseListing) -> str:
    if release.yanked is not None:
        return f"{listing.name} {release.version} was yanked: {release.yanked or 'no reason given'}"
    if listing.status not in {"active", ""}:
        return f"{listing.name} is {listing.status}"
    return ""


def _key(verdict: Verdict) -> str:
    listed = "\n".join(f"{file.sha256} {file.filename}" for file in verdict.closure)
    return hashlib.sha256(f"{verdict.project}\n{listed}".encode()).hexdigest()


def _safe_filename(filename: str) -> str:
    if Path(filename).name != filename or filename.startswith("."):
        raise VerificationError(f"{filename[:200]!r} is no safe file name")
    return filename


def _verify_metadata(wheel: Path, sha256: str) -> None:
    try:
        with ZipFile(wheel) as archive:
            names = [
                name
                for name in archive.namelist()
                if name.count("/") == 1 and name.endswith(".dist-info/METADATA")
            ]
            content = (
                archive.read(names[0])
                if len(names) == 1 and archive.getinfo(names[0]).file_size <= MAX_METADATA
                else b""
            )
    except (BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise VerificationError(f"{wheel.name} is no readable wheel: {error}") from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise VerificationError(
            f"{wheel.name} holds another METADATA than the index serves beside it",
            remedy="Report it to the index' operator",
        )
