"""The files of the TUF repository and the rules by which they are written.

Clients see ``DIR/public/tuf/{metadata,targets}`` (consistent snapshots, TUF specification 1.0 section 6.2).
The pointer ``DIR/tuf/snapshot.json`` names the newest complete snapshot. Whatever is newer than the pointer
is the rest of an interrupted publication: nobody refers to it, and the next publication overwrites it.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from securesystemslib.exceptions import UnverifiedSignatureError
from securesystemslib.signer import CryptoSigner  # type: ignore[attr-defined]
from tuf.api.exceptions import RepositoryError as TufError
from tuf.api.metadata import (  # type: ignore[attr-defined]
    Metadata,
    Root,
    Signed,
    Snapshot,
    SuccinctRoles,
    TargetFile,
    Targets,
    Timestamp,
)
from tuf.api.serialization.json import JSONSerializer

from envcli_index.trust.errors import RepositoryError
from envcli_index.trust.files import write_whole
from envcli_index.trust.keys import load_ed25519_key
from envcli_index.trust.settings import TrustSettings

LIFETIMES = {
    "root": timedelta(days=365),
    "targets": timedelta(days=90),
    "snapshot": timedelta(days=7),
    "timestamp": timedelta(hours=24),
}
BINS = SuccinctRoles(keyids=[], threshold=1, bit_length=6, name_prefix="releases")
BINNED_PREFIX = "releases/"
ROOT_FILE = "1.root.json"
TIMESTAMP_FILE = "timestamp.json"

_T = TypeVar("_T", Root, Snapshot, Targets, Timestamp)


@dataclass(frozen=True)
class Pointer:
    """The newest complete snapshot: its version, and the SHA-256 and size of its file."""

    version: int
    sha256: str
    length: int


class Repository:
    """Reads and writes the repository's files; knows no keys."""

    def __init__(self, config: TrustSettings) -> None:
        self.metadata = config.data / "public" / "tuf" / "metadata"
        self.targets = config.data / "public" / "tuf" / "targets"
        self.state = config.data / "tuf"
        self.pointer_file = self.state / "snapshot.json"

    def create_folders(self) -> None:
        """Make the folders that clients read and the one that holds the pointer."""
        for folder in (self.metadata, self.targets):
            folder.mkdir(parents=True, exist_ok=True)
        self.state.mkdir(mode=0o700, parents=True, exist_ok=True)

    def root_sha256(self) -> str:
        """Return the SHA-256 of ``1.root.json`` in hexadecimal, by which clients pin the repository."""
        return hashlib.sha256(self._read(self.metadata / ROOT_FILE)).hexdigest()

    def is_complete(self) -> bool:
        """Return whether the repository was created up to its last file."""
        return (self.metadata / TIMESTAMP_FILE).exists() and self.pointer_file.exists()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the writers' lock, which ends with the process that holds it."""
        descriptor = os.open(self.state / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def pointer(self) -> Pointer:
        """Return the newest complete snapshot.

        Raises:
            RepositoryError: there is none, or the pointer is damaged.
        """
        try:
            return Pointer(**json.loads(self._read(self.pointer_file)))
        except (ValueError, TypeError) as error:
            raise RepositoryError(
                f"{self.pointer_file} is damaged ({error}); restore it from the backup"
            ) from error

    def commit(self, version: int, snapshot: bytes) -> None:
        """Make ``snapshot`` the newest; the last step of a publication."""
        digest = hashlib.sha256(snapshot).hexdigest()
        pointer = {"version": version, "sha256": digest, "length": len(snapshot)}
        write_whole(self.pointer_file, json.dumps(pointer).encode())

    def read_root(self) -> Metadata[Root]:
        """Return the newest root metadata."""
        newest = max(self.metadata.glob("*.root.json"), key=_version_of, default=self.metadata / ROOT_FILE)
        return self._parse(newest, Root)

    def read_timestamp(self) -> Metadata[Timestamp]:
        """Return the timestamp that clients see."""
        return self._parse(self.metadata / TIMESTAMP_FILE, Timestamp)

    def read_snapshot(self, pointer: Pointer) -> Metadata[Snapshot]:
        """Return the snapshot of ``pointer``.

        Raises:
            RepositoryError: its file is not the one that was committed.
        """
        path = self.metadata / f"{pointer.version}.snapshot.json"
        if hashlib.sha256(self._read(path)).hexdigest() != pointer.sha256:
            raise RepositoryError(f"{path} was changed after its publication; restore it from the backup")
        return self._parse(path, Snapshot)

    def read_targets(self, role: str, version: int) -> Metadata[Targets]:
        """Return one version of ``targets`` or of a bin."""
        return self._parse(self.metadata / f"{version}.{role}.json", Targets)

    def write(self, signed: Signed, signer: CryptoSigner, role: str) -> bytes:
        """Sign ``signed``, write it under its versioned name and return the bytes."""
        data = signed_bytes(signed, signer)
        name = TIMESTAMP_FILE if role == Timestamp.type else f"{signed.version}.{role}.json"
        write_whole(self.metadata / name, data)
        return data

    def write_target(self, path: str, data: bytes) -> TargetFile:
        """Write a target under its hashed name and return its entry.

        Raises:
            RepositoryError: ``path`` is absolute or leaves the folder of targets.
        """
        checked_target_path(path)
        target = TargetFile.from_data(path, data, ["sha256"])
        file = self.target_file(target)
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            write_whole(file, data)
        return target

    def read_target(self, target: TargetFile) -> bytes:
        """Return the content of ``target``.

        Raises:
            RepositoryError: the file is missing or differs from its entry.
        """
        data = self._read(self.target_file(target))
        if hashlib.sha256(data).hexdigest() != target.hashes["sha256"]:
            raise RepositoryError(f"the target {target.path} was changed on disk; restore it from the backup")
        return data

    def target_file(self, target: TargetFile) -> Path:
        """Return where the content of ``target`` lies (consistent snapshots: the digest before the name)."""
        pure = PurePosixPath(target.path)
        return self.targets / pure.with_name(f"{target.hashes['sha256']}.{pure.name}")

    def _parse(self, path: Path, kind: type[_T]) -> Metadata[_T]:
        try:
            metadata: Metadata[Any] = Metadata.from_bytes(self._read(path))
        except TufError as error:
            raise RepositoryError(
                f"{path} is no TUF metadata ({error}); restore it from the backup"
            ) from error
        if not isinstance(metadata.signed, kind):
            raise RepositoryError(f"{path} holds another role than its name says; restore it from the backup")
        return metadata

    @staticmethod
    def _read(path: Path) -> bytes:
        try:
            return path.read_bytes()
        except OSError as error:
            raise RepositoryError(
                f"{path} cannot be read ({error}); run `envcli-index init` first"
            ) from error


def expiry(role: str) -> datetime:
    """Return the time until which metadata of ``role`` (bins count as targets) signed now is valid."""
    return datetime.now(UTC).replace(microsecond=0) + LIFETIMES.get(role, LIFETIMES["targets"])


def load_role_signer(path: Path) -> CryptoSigner:
    """Return the signer of a role, with the key id of TUF section 4.2 (the hash of the key's canonical JSON).

    Raises:
        KeyFileError: the key file is missing or not acceptable.
    """
    return CryptoSigner(load_ed25519_key(path))


def signed_bytes(signed: Signed, signer: CryptoSigner) -> bytes:
    """Return the file of ``signed`` with one signature."""
    metadata: Metadata[Any] = Metadata(signed)
    metadata.sign(signer)
    return metadata.to_bytes(JSONSerializer(compact=True))


def verify_own(metadata: Metadata[Any], signer: CryptoSigner, role: str) -> None:
    """Refuse to build upon metadata that this process did not sign itself.

    Raises:
        RepositoryError: the signature of ``signer``'s key is missing or wrong.
    """
    signature = metadata.signatures.get(signer.public_key.keyid)
    if signature is None:
        raise RepositoryError(f"our key did not sign the {role} metadata on disk; restore it from the backup")
    try:
        signer.public_key.verify_signature(signature, metadata.signed_bytes)
    except UnverifiedSignatureError as error:
        raise RepositoryError(
            f"the {role} metadata on disk is not ours ({error}); restore it from the backup"
        ) from error


def role_of(path: str) -> str:
    """Return the role that lists the target ``path``: a bin for releases, else the top-level targets."""
    return BINS.get_role_for_target(path) if path.startswith(BINNED_PREFIX) else Targets.type


def checked_target_path(path: str) -> PurePosixPath:
    """Return ``path`` if it names a file inside the folder of targets.

    Raises:
        RepositoryError: it is absolute, empty or contains ``.`` or ``..`` steps.
    """
    pure = PurePosixPath(path)
    if pure.is_absolute() or str(pure) != path or ".." in pure.parts or not pure.name or "\0" in path:
        raise RepositoryError(f"{path!r} is no target path; use a relative path without . and .. steps")
    return pure


def _version_of(path: Path) -> int:
    first = path.name.partition(".")[0]
    return int(first) if first.isdecimal() else 0
