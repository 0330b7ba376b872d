"""What an install would do: offers of a plugin and of those it needs, and whether they fit this host."""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from envcli_sdk.errors import ManifestError
from envcli_sdk.manifest import PluginManifest, parse_manifest
from envcli_sdk.permissions import PermissionName, PermissionRequest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from envcli_host import __version__
from envcli_host.config import HostPaths
from envcli_host.errors import EnvcliError
from envcli_host.marketplace.model import Offer, Progress
from envcli_host.plugins.errors import InstallError
from envcli_host.plugins.grants import UNCONFINED
from envcli_host.plugins.registry import Origin, Record, Registry

MAX_DEPENDENCIES = 32
_SPEC = re.compile(r"([A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?)(?:==([A-Za-z0-9.+!_-]{1,64}))?")


@dataclass(frozen=True, slots=True)
class Planned:
    """One release to install: its verified offer and its parsed manifest."""

    offer: Offer
    manifest: PluginManifest

    @property
    def manifest_sha256(self) -> str:
        """Digest that grants are bound to."""
        return hashlib.sha256(self.offer.manifest_text.encode()).hexdigest()


def plan_install(
    name: str,
    version: str | None,
    paths: HostPaths,
    registry: Registry,
    progress: Progress | None,
    index_name: str | None,
) -> list[Planned]:
    """Offers of the plugin and of every plugin it needs, dependencies first."""
    from envcli_host.marketplace.offers import find_offer

    plans: dict[str, Planned] = {}

    def visit(project: str, wanted: str | None, trail: tuple[str, ...]) -> None:
        if project in trail or len(plans) >= MAX_DEPENDENCIES:
            raise InstallError(
                f"the dependencies of {name} form a circle or are more than {MAX_DEPENDENCIES}"
            )
        offer = find_offer(project, wanted, paths, progress, index_name=index_name)
        for text in offer.plugin_dependencies:
            needed = Requirement(text)
            key = canonicalize_name(needed.name)
            if key not in plans and not _satisfied(needed, registry.get(key)):
                visit(key, _exact(needed), (*trail, project))
                _verify_satisfied(needed, plans[key].offer)
        plans[project] = Planned(offer, _parse(offer))

    visit(canonicalize_name(name), version, ())
    return list(plans.values())


def _parse(offer: Offer) -> PluginManifest:
    try:
        return parse_manifest(offer.manifest_text)
    except ManifestError as error:
        raise InstallError(
            f"{offer.project} {offer.version}: {error}", remedy="A newer envcli may read it"
        ) from error


def verify_fit(plan: Planned, registry: Registry) -> None:
    """The host is new enough, can confine what is asked for, and no name is taken."""
    from envcli_host.cli.main import COMMANDS

    offer, manifest = plan.offer, plan.manifest
    verify_host(manifest, f"{offer.project} {offer.version}")
    verify_confinable(manifest.permissions, offer.project)
    for item in manifest.contributes:
        if item.kind in {"command", "workflow", "report"} and item.name in COMMANDS:
            raise InstallError(
                f"{offer.project} contributes {item.name!r}, which is a command of envcli itself"
            )
    verify_names_free(offer.project, manifest, registry)


def verify_host(manifest: PluginManifest, label: str) -> None:
    """Raise InstallError for a plugin that needs a newer host."""
    if Version(__version__) < Version(manifest.minimum_host_version):
        raise InstallError(
            f"{label} needs envcli {manifest.minimum_host_version}, this is {__version__}",
            remedy="Update envcli-host, or choose an older version",
        )


def verify_confinable(requests: Iterable[PermissionRequest], project: str) -> None:
    """Raise InstallError for permissions that this host cannot enforce and therefore never grants."""
    for request in requests:
        if PermissionName(request.permission) in UNCONFINED:
            raise InstallError(
                f"{project} asks for {request.permission} {request.scope}, which this host never grants",
                remedy="Choose another plugin",
            )


def verify_names_free(project: str, manifest: PluginManifest, registry: Registry) -> None:
    """Raise InstallError where another installed plugin has the same id, scheme, command or rule."""
    for record in registry:
        if record.project == project:
            continue
        taken = {(kind, name) for kind, name, _ in record.contributes if kind != "event"}
        clash = [f"{c.kind} {c.name}" for c in manifest.contributes if (str(c.kind), c.name) in taken]
        if record.id in {manifest.id, project} or record.project == manifest.id or clash:
            what = clash[0] if clash else f"id {manifest.id}"
            raise InstallError(
                f"{what} of {project} is taken by {record.project}",
                remedy=f"Run: envcli plugin remove {record.project}",
            )


def is_installed(offer: Offer, registry: Registry) -> bool:
    record = registry.get(offer.project)
    return (
        record is not None
        and record.origin is Origin.INDEX
        and (record.version, record.wheel_sha256) == (offer.version, offer.wheel.sha256)
    )


def _satisfied(needed: Requirement, record: Record | None) -> bool:
    return record is not None and needed.specifier.contains(record.version, prereleases=True)


def _verify_satisfied(needed: Requirement, offer: Offer) -> None:
    if not needed.specifier.contains(offer.version, prereleases=True):
        raise InstallError(
            f"{needed} is required, and the index offers {offer.version}",
            remedy="Install that version by hand first",
        )


def _exact(needed: Requirement) -> str | None:
    pins = [item.version for item in needed.specifier if item.operator == "=="]
    return pins[0] if len(pins) == 1 and "*" not in pins[0] else None


def parse_spec(text: str) -> tuple[str, str | None]:
    """Read ``name`` or ``name==version``.

    Raises:
        EnvcliError: it is something else.
    """
    found = _SPEC.fullmatch(text)
    if not found:
        raise EnvcliError(f"{text[:80]!r} names no plugin", remedy="Write NAME or NAME==VERSION")
    return canonicalize_name(found[1]), found[2]
