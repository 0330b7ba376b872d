"""The TUF repository of the index: its creation, and the publication of targets by the gate.

A publication writes targets, then the roles that list them, then the snapshot, and last the pointer.
Readers start at the timestamp, which another process signs for the snapshot that the pointer names; so a
half-written version is never visible. Releases lie in hash bins: publishing one signs a sixty-fourth part
of them, not the whole list.
"""

import json
import time
from collections.abc import Collection, Mapping

from securesystemslib.signer import CryptoSigner  # type: ignore[attr-defined]
from tuf.api.metadata import (  # type: ignore[attr-defined]
    Delegations,
    MetaFile,
    Root,
    Snapshot,
    SuccinctRoles,
    Targets,
    Timestamp,
)

from envcli_index.trust.client_config import client_config
from envcli_index.trust.edition import Edition
from envcli_index.trust.errors import TimestampPendingError
from envcli_index.trust.keys import load_signer, pinned_entry
from envcli_index.trust.repository import (
    BINS,
    Repository,
    checked_target_path,
    expiry,
    load_role_signer,
    role_of,
    verify_own,
)
from envcli_index.trust.settings import TrustSettings

CLIENT_CONFIG_TARGET = "trust/client-trust-config.json"
KEYS_TARGET = "trust/keys.json"
TAKEDOWNS_TARGET = "takedowns.json"
_POLL_SECONDS = 0.02
_ROLE_KEYS = {
    "root": "root/root.pem",
    "targets": "gate/targets.pem",
    "snapshot": "gate/snapshot.pem",
    "timestamp": "timestamp/timestamp.pem",
}


def create_repository(config: TrustSettings, targets: Mapping[str, bytes] | None = None) -> str:
    """Make the repository under ``DIR/public/tuf`` and return the SHA-256 of ``1.root.json`` in hexadecimal.

    The client configuration, the pinned keys of gate and vetting and an empty list of takedowns are always
    among the first targets. A complete repository stays as it is.

    Args:
        config: the index; its keys must exist (:func:`envcli_index.trust.keys.create_keys`).
        targets: further first targets by path; they win over the ones made here.

    Raises:
        KeyFileError: a key is missing.
        RepositoryError: a target path is unsafe.
    """
    repository = Repository(config)
    repository.create_folders()
    with repository.locked():
        if not repository.is_complete():
            _write_first_version(config, repository, {**first_targets(config), **(targets or {})})
    return repository.root_sha256()


def renew_root(config: TrustSettings) -> int:
    """Sign a new version of the root role, valid for another year, and return the version.

    Clients follow from the version that they pinned (TUF specification 1.0 section 5.3).

    Args:
        config: the index; the root key must be in place.

    Raises:
        KeyFileError: the root key is missing or not acceptable.
        RepositoryError: there is no repository, or its root is not signed by this key.
    """
    repository = Repository(config)
    signer = load_role_signer(config.data / "keys" / _ROLE_KEYS[Root.type])
    with repository.locked():
        metadata = repository.read_root()
        verify_own(metadata, signer, Root.type)
        root = metadata.signed
        root.version += 1
        root.expires = expiry(Root.type)
        repository.write(root, signer, Root.type)
    return root.version


def first_targets(config: TrustSettings) -> dict[str, bytes]:
    """Return the targets that every repository starts with, by path."""
    keys = [
        pinned_entry(load_signer(config.data / "keys" / name / f"{name}.pem"), name, name)
        for name in ("gate", "vetting")
    ]
    documents = {
        CLIENT_CONFIG_TARGET: client_config(config),
        KEYS_TARGET: {"version": 1, "keys": keys},
        TAKEDOWNS_TARGET: {"version": 1, "takedowns": []},
    }
    return {path: json.dumps(document, sort_keys=True).encode() for path, document in documents.items()}


class TufPublisher:
    """Publishes targets with the gate's keys; the timestamp process then makes the new snapshot visible."""

    def __init__(self, config: TrustSettings, timeout: float = 10.0) -> None:
        """Load the keys of the targets and snapshot roles.

        Args:
            config: the index.
            timeout: seconds to wait for the timestamp process.

        Raises:
            KeyFileError: a key is missing.
        """
        keys = config.data / "keys" / "gate"
        self._repository = Repository(config)
        self._targets_signer = load_role_signer(keys / "targets.pem")
        self._snapshot_signer = load_role_signer(keys / "snapshot.pem")
        self._timeout = timeout

    def publish(self, targets: Mapping[str, bytes], remove: Collection[str] = ()) -> int:
        """Add or replace ``targets`` by path, remove others, and return the version of the snapshot.

        A call that changes nothing signs nothing, so repeating an interrupted call is safe.

        Args:
            targets: content by target path.
            remove: target paths that must no longer be listed.

        Raises:
            RepositoryError: a path is unsafe, or the metadata on disk is not ours. TimestampPendingError:
            all is written, but the timestamp process did not sign in time; repeat later.
        """
        for path in (*targets, *remove):
            checked_target_path(path)
        with self._repository.locked():
            edition = Edition(self._repository, self._targets_signer, self._snapshot_signer)
            for path, data in targets.items():
                edition.put(path, data)
            for path in remove:
                edition.remove(path)
            version = edition.commit()
        self._wait_for_timestamp(version)
        return version

    def refresh(self) -> bool:
        """Sign again what has lived half its life and delete what nobody refers to; return whether it signed.

        Raises:
            RepositoryError: the metadata on disk is not ours.
            TimestampPendingError: the timestamp process did not sign in time; repeat later.
        """
        with self._repository.locked():
            edition = Edition(self._repository, self._targets_signer, self._snapshot_signer)
            before = edition.version
            edition.renew()
            version = edition.commit()
            edition.delete_superseded()
        self._wait_for_timestamp(version)
        return version != before

    def read(self, path: str) -> bytes | None:
        """Return the published content of the target ``path``, or None if it is not listed.

        Raises:
            RepositoryError: the metadata on disk is not ours.
        """
        edition = Edition(self._repository, self._targets_signer, self._snapshot_signer)
        return edition.read(path)

    def _wait_for_timestamp(self, version: int) -> None:
        deadline = time.monotonic() + self._timeout
        while self._repository.read_timestamp().signed.snapshot_meta.version < version:
            if time.monotonic() > deadline:
                raise TimestampPendingError(
                    f"snapshot {version} is written but not timestamped within {self._timeout:g} s; "
                    "start `envcli-index timestamp` and repeat"
                )
            time.sleep(_POLL_SECONDS)


def _write_first_version(config: TrustSettings, repository: Repository, targets: Mapping[str, bytes]) -> None:
    signers = {name: load_role_signer(config.data / "keys" / path) for name, path in _ROLE_KEYS.items()}
    roles = _first_roles(signers["targets"], repository, targets)
    snapshot = Snapshot(expires=expiry(Snapshot.type))
    repository.write(_first_root(signers), signers["root"], Root.type)
    for name, role in roles.items():
        repository.write(role, signers["targets"], name)
        snapshot.meta[f"{name}.json"] = MetaFile(1)
    data = repository.write(snapshot, signers["snapshot"], Snapshot.type)
    timestamp = Timestamp(
        expires=expiry(Timestamp.type), snapshot_meta=MetaFile.from_data(1, data, ["sha256"])
    )
    repository.commit(1, data)
    repository.write(timestamp, signers["timestamp"], Timestamp.type)


def _first_root(signers: Mapping[str, CryptoSigner]) -> Root:
    root = Root(expires=expiry(Root.type), consistent_snapshot=True)
    for role, signer in signers.items():
        root.add_key(signer.public_key, role)
    return root


def _first_roles(
    signer: CryptoSigner, repository: Repository, targets: Mapping[str, bytes]
) -> dict[str, Targets]:
    top = Targets(expires=expiry(Targets.type))
    bins = SuccinctRoles([signer.public_key.keyid], 1, BINS.bit_length, BINS.name_prefix)
    top.delegations = Delegations({signer.public_key.keyid: signer.public_key}, succinct_roles=bins)
    roles = {Targets.type: top} | {name: Targets(expires=expiry(Targets.type)) for name in bins.get_roles()}
    for path, data in targets.items():
        roles[role_of(path)].targets[path] = repository.write_target(path, data)
    return roles
