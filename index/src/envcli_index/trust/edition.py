"""One publication in the making: the newest complete version of the repository plus changes."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from securesystemslib.signer import CryptoSigner  # type: ignore[attr-defined]
from tuf.api.metadata import (  # type: ignore[attr-defined]
    MetaFile,
    Signed,
    Snapshot,
    TargetFile,
    Targets,
)

from envcli_index.trust.repository import LIFETIMES, Repository, expiry, role_of, verify_own

_SUPERSEDED_AFTER = timedelta(hours=48)


class Edition:
    """One publication in the making; loads a role when it is first needed."""

    def __init__(
        self, repository: Repository, targets_signer: CryptoSigner, snapshot_signer: CryptoSigner
    ) -> None:
        self._repository = repository
        self._targets_signer = targets_signer
        self._snapshot_signer = snapshot_signer
        metadata = repository.read_snapshot(repository.pointer())
        verify_own(metadata, snapshot_signer, Snapshot.type)
        self._snapshot = metadata.signed
        self._roles: dict[str, Targets] = {}
        self._changed: set[str] = set()
        self._is_snapshot_due = False

    @property
    def version(self) -> int:
        """The version of the snapshot that this edition builds upon, or after commit() the new one."""
        return self._snapshot.version

    def put(self, path: str, data: bytes) -> None:
        """List ``path`` with the content ``data``."""
        role = role_of(path)
        target = self._repository.write_target(path, data)
        if self._role(role).targets.get(path) != target:
            self._role(role).targets[path] = target
            self._changed.add(role)

    def remove(self, path: str) -> None:
        """List ``path`` no longer."""
        role = role_of(path)
        if self._role(role).targets.pop(path, None) is not None:
            self._changed.add(role)

    def read(self, path: str) -> bytes | None:
        """Return the content of ``path``."""
        target = self._role(role_of(path)).targets.get(path)
        return self._repository.read_target(target) if target else None

    def renew(self) -> None:
        """Mark for signing every role that has lived half its life."""
        for name in self._role_names():
            if _is_due(self._role(name), Targets.type):
                self._changed.add(name)
        self._is_snapshot_due = _is_due(self._snapshot, Snapshot.type)

    def commit(self) -> int:
        """Write what changed, the pointer last, and return the snapshot's version."""
        if not self._changed and not self._is_snapshot_due:
            return self.version
        for name in sorted(self._changed):
            self._write_role(name)
        self._snapshot.version += 1
        self._snapshot.expires = expiry(Snapshot.type)
        data = self._repository.write(self._snapshot, self._snapshot_signer, Snapshot.type)
        self._repository.commit(self.version, data)
        return self.version

    def delete_superseded(self) -> None:
        """Delete the metadata and targets that are not part of this edition and older than 48 hours.

        The wait is for clients and caches that still hold a timestamp of an earlier edition, 24 hours at
        most.
        """
        current = self._metadata_files()
        for path in self._repository.metadata.iterdir():
            if path not in current and not path.name.endswith(("root.json", "timestamp.json")):
                _delete_old(path)
        listed = {self._repository.target_file(target) for target in self._all_targets()}
        for path in self._repository.targets.rglob("*"):
            if path.is_file() and path not in listed:
                _delete_old(path)

    def _metadata_files(self) -> set[Path]:
        names = {f"{meta.version}.{name}" for name, meta in self._snapshot.meta.items()}
        return {self._repository.metadata / name for name in (*names, f"{self.version}.snapshot.json")}

    def _all_targets(self) -> Iterator[TargetFile]:
        for name in self._role_names():
            yield from self._role(name).targets.values()

    def _role_names(self) -> list[str]:
        return [name.removesuffix(".json") for name in self._snapshot.meta]

    def _role(self, name: str) -> Targets:
        if name not in self._roles:
            metadata = self._repository.read_targets(name, self._snapshot.meta[f"{name}.json"].version)
            verify_own(metadata, self._targets_signer, name)
            self._roles[name] = metadata.signed
        return self._roles[name]

    def _write_role(self, name: str) -> None:
        role = self._role(name)
        role.version += 1
        role.expires = expiry(Targets.type)
        self._repository.write(role, self._targets_signer, name)
        self._snapshot.meta[f"{name}.json"] = MetaFile(role.version)


def _is_due(signed: Signed, role: str) -> bool:
    return signed.expires - datetime.now(UTC) < LIFETIMES[role] / 2


def _delete_old(path: Path) -> None:
    if time.time() - path.stat().st_mtime > _SUPERSEDED_AFTER.total_seconds():
        path.unlink()
