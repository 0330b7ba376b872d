"""Changing grants after install: giving, taking back, linking a folder, and what configuration leads to."""

import hashlib
from pathlib import Path

from envcli_sdk.manifest import PluginManifest, parse_manifest

from envcli_host.audit import AuditLog
from envcli_host.config import HostPaths
from envcli_host.files import read_bounded
from envcli_host.plugins import consent, integrity, lifecycle, linked, planning, runtime
from envcli_host.plugins.access import ProjectAccess
from envcli_host.plugins.errors import GrantError, InstallError
from envcli_host.plugins.grants import (
    GrantBook,
    PluginGrants,
    compare,
    granted_now,
    with_revoked_again,
    without_permission,
)
from envcli_host.plugins.instances import DEFAULT, InstanceConfig
from envcli_host.plugins.journal import change
from envcli_host.plugins.registry import Origin, Record, Registry
from envcli_host.plugins.store import MANIFEST

_MAX_MANIFEST = 64 * 1024


def read_manifest(record: Record, paths: HostPaths) -> tuple[PluginManifest, str]:
    """Manifest of an installed or linked plugin, and its digest."""
    if record.origin is Origin.LINKED:
        link = linked.load_link(record, paths)
        return link.manifest, link.manifest_sha256
    integrity.verify_present(record.release_dir(paths))
    raw = read_bounded(record.release_dir(paths) / MANIFEST, _MAX_MANIFEST)
    return parse_manifest(raw), hashlib.sha256(raw).hexdigest()


def grant(
    record: Record,
    instance: str,
    project: ProjectAccess | None,
    paths: HostPaths,
    answers: consent.Answers,
    *,
    is_users_own_change: bool = False,
) -> None:
    """Ask for everything that a plugin's instance needs and is not granted yet, revoked permissions included.

    Args:
        record: the plugin.
        instance: whose configuration resolves scopes.
        project: whose configuration counts as well, or None.
        paths: the host's directories.
        answers: how questions are answered.
        is_users_own_change: the user has just typed the configuration that leads to a new scope, so that it is
            no widening by somebody else.

    Raises:
        ConsentError: the answer is no.
        ConfigError: the instance is not configured completely.
    """
    manifest, digest = read_manifest(record, paths)
    config = lifecycle.default_config(manifest, project, paths, instance)
    if config is None and manifest.config and instance != DEFAULT:
        raise GrantError(
            f"instance {instance} of plugin {record.id} is not configured",
            remedy=f"Run: envcli plugin configure {record.id} --instance {instance} NAME=VALUE",
        )
    before = GrantBook.load(paths).get(record.project)
    _ask(record, manifest, config, before, paths, answers, is_users_own_change=is_users_own_change)
    with change(paths):
        book = GrantBook.load(paths)
        entry = granted_now(manifest, digest, config, book.get(record.project))
        book.set(record.project, entry if is_users_own_change else with_revoked_again(entry))
        book.save(paths)


def revoke(record: Record, permission: str, paths: HostPaths) -> None:
    """Take every grant of one permission back.

    Raises:
        GrantError: none is granted.
    """
    with change(paths):
        book = GrantBook.load(paths)
        entry = book.get(record.project)
        if entry is None or not any(name == permission for name, _ in entry.granted):
            raise GrantError(
                f"plugin {record.id} holds no {permission}", remedy="See: envcli plugin permissions"
            )
        book.set(record.project, without_permission(entry, permission))
        book.save(paths)
    AuditLog(paths.audit_file, plugin=record.id, project=record.project).record(
        {"event": "permission.revoked", "subject": permission}
    )


def link(
    folder: Path, project: ProjectAccess | None, paths: HostPaths, answers: consent.Answers, *, fetch: bool
) -> Record:
    """Link a plugin's source folder, unverified and under the strict policy.

    Args:
        folder: holds ``pyproject.toml``.
        project: whose configuration resolves scopes, or None.
        paths: the host's directories.
        answers: how questions are answered.
        fetch: install its third-party dependencies, wheels only.

    Raises:
        InstallError: it is no plugin, or the name belongs to a verified install.
        ConsentError: the answer is no.
    """
    record = linked.read_folder(folder.resolve())
    registry = Registry.load(paths)
    installed = registry.get(record.project)
    if installed is not None and installed.origin is Origin.INDEX:
        raise InstallError(
            f"{record.project} is installed from index {installed.index_name}; a link would replace what was verified",
            remedy=f"Run: envcli plugin remove {record.project}",
        )
    manifest, digest = read_manifest(record, paths)
    planning.verify_host(manifest, f"{record.project} {record.version}")
    planning.verify_confinable(manifest.permissions, record.project)
    planning.verify_names_free(record.project, manifest, registry)
    config = lifecycle.default_config(manifest, project, paths)
    before = GrantBook.load(paths).get(record.project)
    _ask(record, manifest, config, before, paths, answers)
    needed = linked.third_party(folder.resolve())
    if fetch and needed:
        runtime.install_dependencies(record.project, needed, paths)
    with change(paths):
        book = GrantBook.load(paths)
        book.set(record.project, granted_now(manifest, digest, config, book.get(record.project)))
        book.save(paths)
        Registry.load(paths).with_record(record).save(paths)
    return record


def _ask(
    record: Record,
    manifest: PluginManifest,
    config: InstanceConfig | None,
    before: PluginGrants | None,
    paths: HostPaths,
    answers: consent.Answers,
    *,
    is_users_own_change: bool = False,
) -> None:
    found = compare(manifest, config, before)
    again = set(before.revoked) if before is not None and not is_users_own_change else set()
    returned = tuple(r for r in manifest.permissions if (str(r.permission), r.scope) in again)
    if before is not None and not found.added and not returned and not found.removed and not found.unseen:
        return
    instance = config.instance if config is not None else DEFAULT
    widens = (found.is_widening and not is_users_own_change) or bool(returned)
    question = consent.Question(
        subject=f"let plugin {record.id} (instance {instance}) have these permissions",
        facts=_facts(record),
        requests=found.shown,
        added=(*found.added, *returned),
        removed=found.removed,
        is_widening=widens,
        remedy=_command(record, instance),
        notes=(*consent.setting_notes(config), *consent.scope_notes(found.shown)),
        changes=consent.setting_changes(found, config),
    )
    audit = AuditLog(
        paths.audit_file, plugin=record.id, project=record.project, version=record.version, instance=instance
    )
    lifecycle.ask_audited(question, answers, audit)


def _facts(record: Record) -> tuple[str, ...]:
    if record.origin is Origin.LINKED:
        return (
            f"{record.project} {record.version} linked from {record.folder}",
            "UNVERIFIED: nobody vouches for this folder; it runs under the strict policy, in the sandbox",
        )
    publisher = record.publisher
    return (
        f"{record.project} {record.version} from index {record.index_name}",
        f"publisher: {publisher.get('name', '?')} ({publisher.get('identity', '?')})",
    )


def _command(record: Record, instance: str) -> str:
    if record.origin is Origin.LINKED and instance == DEFAULT:
        return f"envcli plugin dev {record.folder}"
    option = "" if instance == DEFAULT else f" --instance {instance}"
    return f"envcli plugin permissions {record.id}{option} --grant"
