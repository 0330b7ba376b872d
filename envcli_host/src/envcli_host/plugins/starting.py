"""From an installed plugin to a running one: every check, in order, before one byte of it is executed."""

import hashlib
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from envcli_policy.permissions import RiskTier, risk_of
from envcli_sandbox.errors import SandboxError
from envcli_sandbox.footprint import find_footprint
from envcli_sandbox.request import Mount, SandboxRequest
from envcli_sandbox.session import open_sandbox
from envcli_sdk.errors import ManifestError
from envcli_sdk.guest import READ_ATTEMPT, WRITE_ATTEMPT
from envcli_sdk.manifest import PluginManifest, parse_manifest
from envcli_sdk.permissions import PermissionRequest

from envcli_host.audit import AuditLog
from envcli_host.config import HostPaths
from envcli_host.errors import EnvcliError
from envcli_host.files import read_bounded
from envcli_host.plugins import integrity
from envcli_host.plugins.access import ProjectAccess
from envcli_host.plugins.broker import PluginBroker, Redactor
from envcli_host.plugins.errors import GrantError, ModifiedError, PluginFailedError
from envcli_host.plugins.file_scopes import FileScope, file_scopes
from envcli_host.plugins.grants import GrantBook, effective
from envcli_host.plugins.instances import InstanceConfig, load_instance
from envcli_host.plugins.linked import load_link
from envcli_host.plugins.registry import Origin, Record
from envcli_host.plugins.runtime import guest_folder
from envcli_host.plugins.session import PluginSession
from envcli_host.plugins.store import MANIFEST
from envcli_host.plugins.vault import PluginVault

_MAX_MANIFEST = 64 * 1024
MAX_NOTICES = 1000


@dataclass(frozen=True, slots=True)
class Runnable:
    """A plugin that passed every check of its origin.

    Attributes:
        record: its registry entry.
        manifest: parsed.
        manifest_sha256: its digest; grants are bound to it.
        tree: import root.
        guest: folder with SDK and pluggy.
        warnings: lines for the user.
    """

    record: Record
    manifest: PluginManifest
    manifest_sha256: str
    tree: Path
    guest: Path
    warnings: tuple[str, ...] = ()


def start(record: Record, instance: str, project: ProjectAccess | None, paths: HostPaths) -> PluginSession:
    """Check, confine, start and initialize a plugin.

    Raises:
        EnvcliError: it may not run; the refusal is in the audit log.
    """
    audit = AuditLog(
        paths.audit_file,
        plugin=record.id,
        project=record.project,
        version=record.version,
        instance=instance,
        origin=str(record.origin),
        policy="strict" if record.origin is Origin.LINKED else "normal",
    )
    try:
        runnable = check(record, paths)
        config = load_instance(runnable.manifest, instance, project, paths)
        grants = in_force(runnable, config, paths)
        return _open(runnable, config, grants, project, paths, audit)
    except EnvcliError as error:
        audit.record({"event": "plugin.refused", "verdict": "denied", "reason": error.message})
        raise


def check(record: Record, paths: HostPaths) -> Runnable:
    """Freshness and takedowns, interpreter, manifest, unchanged tree.

    Raises:
        TakenDownError: the index withdrew it.
        StaleTrustError: nothing recent is known about it.
        ModifiedError: it is not what was installed.
    """
    if record.origin is Origin.LINKED:
        link = load_link(record, paths)
        note = f"{record.id} is a linked folder: nobody has verified it; strict policy"
        return Runnable(record, link.manifest, link.manifest_sha256, link.tree, link.guest, (note,))
    warnings = _check_freshness(record, paths)
    release = record.release_dir(paths)
    if record.python != sys.implementation.cache_tag:
        raise ModifiedError(
            f"plugin {record.id} was installed for {record.python}, the host runs on {sys.implementation.cache_tag}",
            remedy=f"Run: envcli plugin install {record.project}=={record.version} --reinstall",
        )
    integrity.verify_present(release)
    manifest = _read_manifest(record, release)
    integrity.verify_unchanged(release, record.tree_sha256)
    return Runnable(
        record, manifest, record.manifest_sha256, release / integrity.TREE, guest_folder(paths), warnings
    )


def in_force(runnable: Runnable, config: InstanceConfig, paths: HostPaths) -> tuple[PermissionRequest, ...]:
    """Resolved permissions of one instance.

    Raises:
        GrantError: something was not granted, or the strict policy forbids it.
    """
    record = runnable.record
    grants = effective(
        runnable.manifest, runnable.manifest_sha256, config, GrantBook.load(paths).get(record.project)
    )
    if record.origin is Origin.LINKED:
        for request in grants:
            if risk_of(request) is RiskTier.CRITICAL:
                raise GrantError(
                    f"{request.permission} {request.scope} is of critical risk, which the strict policy refuses "
                    "to an unverified plugin",
                    remedy="Narrow its scope in plugin.toml",
                )
    return grants


def _open(
    runnable: Runnable,
    config: InstanceConfig,
    grants: tuple[PermissionRequest, ...],
    project: ProjectAccess | None,
    paths: HostPaths,
    audit: AuditLog,
) -> PluginSession:
    files = file_scopes(grants, project.root if project is not None else None, paths)
    redactor = Redactor()
    vault = PluginVault(runnable.record.project, paths)

    broker = PluginBroker(grants, files, config, project, vault, redactor, NoticeLog(files, audit))
    request = SandboxRequest(
        tree=runnable.tree, entry=runnable.record.entry, guest_path=runnable.guest, mounts=_mounts(files)
    )
    try:
        sandbox = open_sandbox(request, broker, audit)
    except SandboxError as error:
        raise PluginFailedError(
            f"plugin {runnable.record.id} was not started: {error}", remedy="Run: envcli plugin doctor"
        ) from error
    audit.update(tier=str(sandbox.tier))
    session = PluginSession(runnable.record, sandbox, broker, redactor, audit, runnable.warnings)
    try:
        secrets = sorted(config.secrets)
        session.initialize({"instance": config.instance, "config": dict(config.values), "secrets": secrets})
    except BaseException:
        sandbox.close()
        raise
    return session


class NoticeLog:
    """Writes a plugin's log lines, and the files it reports to have tried, into the audit; bounded."""

    def __init__(self, files: tuple[FileScope, ...], audit: AuditLog) -> None:
        self._files = files
        self._audit = audit
        self._room = MAX_NOTICES

    def __call__(self, level: str, message: str) -> None:
        """Take one notice."""
        if self._room <= 0:
            return
        self._room -= 1
        if level not in {READ_ATTEMPT, WRITE_ATTEMPT}:
            self._audit.record({"event": "plugin.logged", "level": level, "message": message})
        elif not self._is_open(Path(message), writes=level == WRITE_ATTEMPT):
            # The kernel refused it, silently; which path it was is what the child says.
            access = "file:write" if level == WRITE_ATTEMPT else "file:read"
            entry = {"event": "file.attempted", "subject": message, "permission": access, "verdict": "denied"}
            self._audit.record({**entry, "by": "sandbox", "reported_by": "plugin process"})

    def _is_open(self, path: Path, *, writes: bool) -> bool:
        """Whether the sandbox lets the child open a path: granted, or needed by any interpreter."""
        if any(scope.covers(path) and (scope.writable or not writes) for scope in self._files):
            return True
        footprint = find_footprint()
        is_hidden = any(path.is_relative_to(folder) for folder in footprint.hidden)
        return not writes and not is_hidden and any(path.is_relative_to(item) for item in footprint.readable)


def _mounts(files: tuple[FileScope, ...]) -> tuple[Mount, ...]:
    literal = [scope for scope in files if not scope.pattern and scope.real.exists()]
    writable = {scope.real for scope in literal if scope.writable}
    readable = {scope.real for scope in literal if not scope.writable}
    # A mount that may be written may be read as well; a scope for writing alone stays with the broker.
    return tuple(Mount(path, readonly=path not in writable) for path in sorted(readable))


def _check_freshness(record: Record, paths: HostPaths) -> tuple[str, ...]:
    from envcli_host.marketplace.freshness import check_run

    now = datetime.now(UTC)
    found = check_run(
        record.project,
        record.version,
        record.wheel_sha256,
        record.index_name,
        paths,
        now,
        closure=record.closure,
    )
    return (f"{found.message}. {found.remedy}",) if found is not None else ()


def _read_manifest(record: Record, release: Path) -> PluginManifest:
    try:
        raw = read_bounded(release / MANIFEST, _MAX_MANIFEST)
    except FileNotFoundError:
        raw = b""
    if hashlib.sha256(raw).hexdigest() != record.manifest_sha256:
        raise ModifiedError(
            f"plugin {record.id} was modified after install: {MANIFEST} differs",
            remedy=f"Run: envcli plugin install {record.project}=={record.version} --reinstall",
        )
    try:
        return parse_manifest(raw)
    except ManifestError as error:
        raise ModifiedError(f"plugin {record.id}: {error}", remedy="Install it again") from error
