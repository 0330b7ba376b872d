"""Verified trust of one index: python-tuf's client over the pinned root, and what follows from it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tuf.api.exceptions import (
    BadVersionNumberError,
    DownloadError,
    ExpiredMetadataError,
    LengthOrHashMismatchError,
    RepositoryError,
)
from tuf.api.metadata import Metadata, Timestamp  # type: ignore[attr-defined]
from tuf.ngclient.updater import Updater

from envcli_host.config import HostPaths
from envcli_host.errors import MarketplaceError, StaleTrustError, VerificationError
from envcli_host.failures import explain
from envcli_host.files import PRIVATE_DIRECTORY, locked
from envcli_host.marketplace.freshness import observe_clock, record_standing
from envcli_host.marketplace.indexes import IndexRecord, index_dir, read_pinned_root
from envcli_host.marketplace.transport import Transport, TufFetcher

MAX_TARGET = 16 * 1024 * 1024
KEYS = "trust/keys.json"
CLIENT_TRUST_CONFIG = "trust/client-trust-config.json"
TAKEDOWNS = "takedowns.json"


class SignedTargets:
    """The targets that an index signs now, fetched when asked for."""

    def __init__(self, index: IndexRecord, updater: Updater) -> None:
        self._index = index
        self._updater = updater

    def read(self, path: str) -> bytes | None:
        """Return a verified target, or None if the index signs no such target.

        Raises:
            MarketplaceError: it cannot be fetched.
            VerificationError: what was fetched is not what is signed.
        """
        with translated(self._index):
            info = self._updater.get_targetinfo(path)
            if info is None:
                return None
            found = self._updater.find_cached_target(info) or self._updater.download_target(info)
            return Path(found).read_bytes()

    def require(self, path: str) -> bytes:
        """Return a target without which an index cannot be used."""
        content = self.read(path)
        if content is None:
            raise VerificationError(
                f"index {self._index.name} signs no {path}", remedy="Report it to the index' operator"
            )
        return content


@dataclass(frozen=True)
class IndexTrust:
    """What an index vouches for now; every byte came through TUF.

    Attributes:
        expires: end of life of the timestamp.
        keys: ``trust/keys.json``.
        client_trust_config: Sigstore client trust configuration (JSON).
        takedowns: ``takedowns.json``.
        signed: whatever else it signs.
    """

    index: IndexRecord
    expires: datetime
    keys: bytes
    client_trust_config: bytes
    takedowns: bytes
    signed: SignedTargets

    def target(self, path: str) -> bytes | None:
        """Return a verified target, or None if the index signs no such target; raises as ``SignedTargets.read``."""
        return self.signed.read(path)


def refresh(index: IndexRecord, paths: HostPaths, transport: Transport) -> IndexTrust:
    """Fetch and verify the newest metadata of ``index`` and remember what runs need to know.

    Raises:
        StaleTrustError: the index serves expired metadata, or this machine's clock went backwards.
        VerificationError: a signature, digest or version is wrong (also: a rollback).
        MarketplaceError: the index cannot be reached.
    """
    now = datetime.now(UTC)
    observe_clock(paths, now)
    with locked(index_dir(index.name, paths) / "lock"):
        trust = _refresh(index, read_pinned_root(index, paths), index_dir(index.name, paths), transport)
        record_standing(now, trust.expires, trust.takedowns, index.name, paths)
    return trust


def try_root(index: IndexRecord, root: bytes, directory: Path, transport: Transport) -> None:
    """Check in an empty ``directory`` that the metadata follows from ``root``; raises as ``refresh``."""
    _refresh(index, root, directory, transport)


def _refresh(index: IndexRecord, root: bytes, directory: Path, transport: Transport) -> IndexTrust:
    metadata, targets = directory / "metadata", directory / "targets"
    for folder in (metadata, targets):
        folder.mkdir(parents=True, exist_ok=True, mode=PRIVATE_DIRECTORY)
    with translated(index):
        updater = Updater(
            str(metadata),
            f"{index.url}tuf/metadata/",
            str(targets),
            f"{index.url}tuf/targets/",
            TufFetcher(transport, MAX_TARGET),
            bootstrap=root,
        )
        updater.refresh()
        timestamp = Metadata[Timestamp].from_file(str(metadata / "timestamp.json"))
    signed = SignedTargets(index, updater)
    return IndexTrust(
        index=index,
        expires=timestamp.signed.expires,
        keys=signed.require(KEYS),
        client_trust_config=signed.require(CLIENT_TRUST_CONFIG),
        takedowns=signed.require(TAKEDOWNS),
        signed=signed,
    )


@contextmanager
def translated(index: IndexRecord) -> Iterator[None]:
    """Turn python-tuf's errors into the host's."""
    label = f"index {index.name}"
    try:
        yield
    except ExpiredMetadataError as error:
        raise StaleTrustError(
            f"{label} serves expired trust metadata: {error}",
            remedy="Check this machine's clock, then try later",
        ) from error
    except BadVersionNumberError as error:
        raise VerificationError(
            f"{label} went back to older trust metadata: {error}",
            remedy="Nothing was changed; report it to the index' operator",
        ) from error
    except LengthOrHashMismatchError as error:
        raise VerificationError(
            f"{label} serves files that are not the signed ones: {error}", remedy="Try again later"
        ) from error
    except DownloadError as error:
        raise (
            error.__cause__ if isinstance(error.__cause__, MarketplaceError) else _unfetched(label, error)
        ) from error
    except (RepositoryError, ValueError) as error:
        raise VerificationError(
            f"the trust metadata of {label} does not verify: {error}",
            remedy="Nothing was changed; check the fingerprint with the index' operator",
        ) from error
    except OSError as error:
        cause, remedy = explain(error)
        raise MarketplaceError(
            f"the trust metadata of {label} cannot be stored: {cause}", remedy=remedy
        ) from error


def _unfetched(label: str, error: DownloadError) -> MarketplaceError:
    return MarketplaceError(
        f"the trust metadata of {label} cannot be fetched: {error}", remedy="Try again later"
    )
