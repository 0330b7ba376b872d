"""Installing, updating and removing plugins: verified first, agreed to, then all at once or not at all."""

import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from envcli_policy.security_policy import default_policy
from envcli_sdk.manifest import PluginManifest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from envcli_host.audit import AuditError, AuditLog
from envcli_host.config import HostPaths
from envcli_host.errors import ConfigError
from envcli_host.failures import StorageError, explained
from envcli_host.files import make_private_folder
from envcli_host.marketplace.model import Offer, Progress
from envcli_host.plugins import consent, instances
from envcli_host.plugins.access import ProjectAccess
from envcli_host.plugins.errors import ConsentError, InstallError
from envcli_host.plugins.grants import GrantBook, PluginGrants, compare, granted_now, scope_of
from envcli_host.plugins.instances import InstanceConfig
from envcli_host.plugins.journal import change
from envcli_host.plugins.planning import Planned, is_installed, plan_install, verify_fit, verify_names_free
from envcli_host.plugins.registry import Origin, Record, Registry
from envcli_host.plugins.runtime import forget_dependencies, make_room
from envcli_host.plugins.store import PinnedWheel, StagedRelease, commit, discard, find_uv, stage
from envcli_host.plugins.vault import key_file


@dataclass(frozen=True, slots=True)
class InstallReport:
    """What an install did.

    Attributes:
        installed: records, dependencies first.
        notes: lines for the user.
    """

    installed: tuple[Record, ...]
    notes: tuple[str, ...] = ()


def install(
    name: str,
    version: str | None,
    paths: HostPaths,
    answers: consent.Answers,
    *,
    progress: Progress | None = None,
    project: ProjectAccess | None = None,
    index_name: str | None = None,
    reinstall: bool = False,
) -> InstallReport:
    """Find, verify, show, ask, download, install. Other plugins that it needs are installed before it.

    Args:
        name: project name in any spelling.
        version: exact version, or None for the newest.
        paths: the host's directories.
        answers: how questions are answered.
        progress: told about transfers.
        project: its configuration resolves scopes; None where there is none.
        index_name: only this index.
        reinstall: also when this version is installed.

    Raises:
        EnvcliError: anything failed; nothing was changed.
    """
    find_uv()
    registry = Registry.load(paths)
    plans = plan_install(name, version, paths, registry, progress, index_name)
    wanted = [plan for plan in plans if reinstall or not is_installed(plan.offer, registry)]
    if not wanted:
        found = plans[-1].offer
        return InstallReport((), (f"{found.project} {found.version} is installed already",))
    book = GrantBook.load(paths)
    configs = [default_config(plan.manifest, project, paths) for plan in wanted]
    for plan, config in zip(wanted, configs, strict=True):
        verify_fit(plan, registry)
        asked = version if plan is plans[-1] else None
        known = registry.get(plan.offer.project)
        _ask(plan, known, asked, book.get(plan.offer.project), config, answers, paths)
    return _install_all(wanted, configs, paths, progress)


def adopt(name: str, version: str, project: ProjectAccess | None, paths: HostPaths) -> None:
    """Install the host's own, verified copy of what pip installed; asks at a terminal.

    Raises:
        ConsentError: nobody is there to ask.
        EnvcliError: it cannot be verified.
    """
    if not sys.stdin.isatty():
        raise ConsentError(
            f"{name} {version} was installed by pip, and envcli runs only copies that it verified itself",
            remedy=f"Run: envcli plugin install {name}=={version}",
        )
    install(name, version, paths, consent.Answers(), project=project)


def remove(name: str, paths: HostPaths) -> Record:
    """Remove a plugin with its grants, configuration, secrets and keys.

    Its files go first, which makes room for everything that has to be written; whatever stops the rest, removing
    it again ends it.

    Raises:
        UnknownPluginError: it is not installed.
        InstallError: another plugin needs it.
    """
    registry = Registry.load(paths)
    record = registry.find(name)
    needed = [other.id for other in registry if record.project in other.requires]
    if needed:
        raise InstallError(
            f"plugin {record.id} is needed by {', '.join(needed)}", remedy="Remove those first"
        )
    audit = AuditLog(paths.audit_file, plugin=record.id, project=record.project, version=record.version)
    with suppress(AuditError):  # on a full disk it can be written only once the plugin's files have gone
        audit.record({"event": "plugin.removing"})
    if record.origin is Origin.INDEX:
        discard(record.release_dir(paths))
    forget_dependencies(record.project, paths)
    try:
        _forget(record, paths)
    except StorageError:  # nothing of the plugin's own took room: what can be made again gives way
        make_room(paths)
        _forget(record, paths)
    instances.forget(record.id, paths)
    key_file(record.project, paths).unlink(missing_ok=True)
    audit.record({"event": "plugin.removed"})
    return record


def _forget(record: Record, paths: HostPaths) -> None:
    with change(paths):
        book = GrantBook.load(paths)
        book.set(record.project, None)
        book.save(paths)
        Registry.load(paths).without(record.project).save(paths)


def origin_changes(offer: Offer, record: Record | None, asked: str | None) -> tuple[str, ...]:
    """What an update would change about where a plugin comes from, or make older without having been asked to."""
    if record is None or record.origin is not Origin.INDEX:
        return ()
    changes, who = [], offer.publisher
    if record.index_name != offer.index_name:
        changes.append(f"it came from index {record.index_name} before")
    if dict(record.publisher) | {"name": ""} != {
        "uuid": who.uuid,
        "name": "",
        "identity": who.identity,
        "issuer": who.issuer,
    }:
        known = record.publisher
        changes.append(f"its publisher was {known.get('name', '?')} ({known.get('identity', '?')}) before")
    if asked is None and Version(offer.version) < Version(record.version):
        changes.append(f"{record.version} is installed, which is newer")
    return tuple(changes)


def _ask(
    plan: Planned,
    record: Record | None,
    asked: str | None,
    before: PluginGrants | None,
    config: InstanceConfig | None,
    answers: consent.Answers,
    paths: HostPaths,
) -> None:
    offer = plan.offer
    found = compare(plan.manifest, config, before)
    question = consent.Question(
        subject=f"install {offer.project} {offer.version}",
        facts=tuple(consent.offer_facts(offer, default_policy().cooldown)),
        requests=found.shown,
        added=found.added,
        removed=found.removed,
        is_widening=found.is_widening,
        remedy=f"envcli plugin install {offer.project}=={offer.version}",
        notes=(*consent.setting_notes(config), *consent.scope_notes(found.shown)),
        changes=(*origin_changes(offer, record, asked), *consent.setting_changes(found, config)),
    )
    audit = AuditLog(paths.audit_file, plugin=plan.manifest.id, project=offer.project, version=offer.version)
    ask_audited(question, answers, audit)


def default_config(
    manifest: PluginManifest,
    project: ProjectAccess | None,
    paths: HostPaths,
    instance: str = instances.DEFAULT,
) -> InstanceConfig | None:
    """An instance's configuration where it is complete already, so that scopes can be shown as they will be."""
    try:
        return instances.load_instance(manifest, instance, project, paths)
    except ConfigError:
        return None


def ask_audited(question: consent.Question, answers: consent.Answers, audit: AuditLog) -> None:
    """Ask, and write question and answer down.

    Raises:
        ConsentError: the answer is no.
    """
    asked = [" ".join(scope_of(request)) for request in question.requests]
    entry = {"event": "consent.asked", "subject": question.subject, "permissions": asked}
    try:
        consent.ask(question, answers)
    except ConsentError as error:
        audit.record({**entry, "verdict": "denied", "reason": error.message})
        raise
    audit.record({**entry, "verdict": "allowed", "by": "--yes" if answers.yes else "terminal"})


def _install_all(
    plans: list[Planned], configs: list[InstanceConfig | None], paths: HostPaths, progress: Progress | None
) -> InstallReport:
    from envcli_host.marketplace.receipts import post_receipt

    records: list[Record] = []
    staged: list[StagedRelease] = []
    try:
        with explained(paths.plugins_dir, "nothing was installed"):
            for plan in plans:
                staged.append(_download(plan, paths, progress))
                records.append(_record(plan, staged[-1]))
            replaced = _commit_all(plans, configs, records, staged, paths)
    except BaseException:
        for release in staged:
            discard(release.folder)
        raise
    for record, old in zip(records, replaced, strict=True):
        audit = AuditLog(paths.audit_file, plugin=record.id, project=record.project, version=record.version)
        audit.record({"event": "plugin.installed", "wheel": record.wheel_sha256, "index": record.index_name})
        if old is not None and old.version != record.version and old.origin is Origin.INDEX:
            discard(old.release_dir(paths))
    return InstallReport(tuple(records), tuple(post_receipt(plan.offer, paths) for plan in plans))


def _download(plan: Planned, paths: HostPaths, progress: Progress | None) -> StagedRelease:
    from envcli_host.marketplace.offers import download_offer

    offer = plan.offer
    make_private_folder(paths.plugins_dir)
    with tempfile.TemporaryDirectory(prefix=".staging-download-", dir=paths.plugins_dir) as folder:
        files = download_offer(offer, Path(folder), progress)
        digests = [offer.wheel.sha256, *(item.sha256 for item in offer.closure)]
        pinned = [PinnedWheel(path, digest) for path, digest in zip(files, digests, strict=True)]
        final = paths.plugins_dir / offer.project / offer.version
        release = stage(pinned[0], pinned[1:], offer.manifest_text, final)
    if (release.wheel.metadata.name, release.wheel.metadata.version) != (offer.project, offer.version):
        discard(release.folder)
        raise InstallError(f"the wheel of {offer.project} {offer.version} bears another name or version")
    return release


def _record(plan: Planned, release: StagedRelease) -> Record:
    offer, manifest = plan.offer, plan.manifest
    return Record(
        project=offer.project,
        version=offer.version,
        id=manifest.id,
        type=str(manifest.type),
        origin=Origin.INDEX,
        entry=release.wheel.entry,
        contributes=tuple((str(item.kind), item.name, item.summary) for item in manifest.contributes),
        requires=tuple(canonicalize_name(Requirement(text).name) for text in offer.plugin_dependencies),
        index_name=offer.index_name,
        wheel_sha256=offer.wheel.sha256,
        closure=tuple(item.sha256 for item in offer.closure),
        manifest_sha256=plan.manifest_sha256,
        tree_sha256=release.tree_sha256,
        python=str(sys.implementation.cache_tag),
        publisher={
            "uuid": offer.publisher.uuid,
            "name": offer.publisher.name,
            "identity": offer.publisher.identity,
            "issuer": offer.publisher.issuer,
        },
        installed=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _commit_all(
    plans: list[Planned],
    configs: list[InstanceConfig | None],
    records: list[Record],
    staged: list[StagedRelease],
    paths: HostPaths,
) -> list[Record | None]:
    """Move everything into place. Return the records that were replaced."""
    finals = tuple(record.release_dir(paths) for record in records)
    with change(paths, creates=finals):
        registry, book = Registry.load(paths), GrantBook.load(paths)
        replaced = [registry.get(record.project) for record in records]
        for plan, config, record, release, final in zip(plans, configs, records, staged, finals, strict=True):
            verify_names_free(record.project, plan.manifest, registry)
            commit(release, final)
            registry = registry.with_record(record)
            before = book.get(record.project)
            book.set(record.project, granted_now(plan.manifest, plan.manifest_sha256, config, before))
        book.save(paths)
        registry.save(paths)
    return replaced
