"""What the user granted to each plugin, and what each configured instance may do because of it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from envcli_sdk.errors import ScopeError
from envcli_sdk.manifest import PluginManifest
from envcli_sdk.permissions import PermissionName, PermissionRequest, resolve_request

from envcli_host.config import HostPaths
from envcli_host.files import read_bounded, write_atomically
from envcli_host.ownership import verify_own
from envcli_host.plugins.errors import GrantError
from envcli_host.plugins.instances import DEFAULT, InstanceConfig

UNCONFINED = (PermissionName.PROCESS_SPAWN, PermissionName.SYSTEM)
_MAX_BYTES = 4 << 20
_REMEDY = "Remove the file and grant the permissions again with: envcli plugin permissions NAME --grant"

Scope = tuple[str, str]


@dataclass(frozen=True, slots=True)
class PluginGrants:
    """What one plugin was granted.

    Attributes:
        manifest_sha256: the manifest that the user saw.
        granted: (permission, scope as the manifest writes it).
        revoked: of the same kind, taken back or never given.
        instances: instance → resolved (permission, scope) that the user saw for it.
        projects: instance and project → digest of the settings of the project's file that the user saw.
        when: ISO time of the last consent.
    """

    manifest_sha256: str
    granted: frozenset[Scope]
    revoked: frozenset[Scope] = frozenset()
    instances: Mapping[str, frozenset[Scope]] = field(default_factory=dict)
    projects: Mapping[str, str] = field(default_factory=dict)
    when: str = ""


class GrantBook:
    """Every plugin's grants, kept in one file of the user's configuration (mode 0600)."""

    def __init__(self, entries: Mapping[str, PluginGrants]) -> None:
        self._entries = dict(entries)

    @classmethod
    def load(cls, paths: HostPaths) -> "GrantBook":
        """Read the file; without one nothing is granted.

        Raises:
            GrantError: it is malformed. Nothing counts as granted then.
            ConfigError: others can write it.
        """
        verify_own(paths)
        try:
            raw = json.loads(read_bounded(paths.grants_file, _MAX_BYTES))
            return cls(
                {str(name): _entry(entry) for name, entry in raw["plugins"].items() if raw["version"] == 1}
            )
        except FileNotFoundError:
            return cls({})
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise GrantError(f"{paths.grants_file} is malformed", remedy=_REMEDY) from error

    def get(self, project: str) -> PluginGrants | None:
        """Grants of a project, or None."""
        return self._entries.get(project)

    def set(self, project: str, grants: PluginGrants | None) -> None:
        """Replace or, with None, forget the grants of a project."""
        self._entries.pop(project, None)
        if grants is not None:
            self._entries[project] = grants

    def save(self, paths: HostPaths) -> None:
        """Replace the file; call it inside the registry's lock."""
        plugins = {name: _to_json(entry) for name, entry in self._entries.items()}
        write_atomically(paths.grants_file, json.dumps({"version": 1, "plugins": plugins}, indent=1).encode())


def scope_of(request: PermissionRequest) -> Scope:
    """What identifies a request in the book."""
    return (str(request.permission), request.scope)


def resolve_all(manifest: PluginManifest, config: InstanceConfig | None) -> tuple[PermissionRequest, ...]:
    """The manifest's requests with references replaced; those whose fields are unset fall away.

    Raises:
        GrantError: a configured value makes no valid scope.
    """
    values = dict(config.values) if config is not None else {}
    try:
        found = (resolve_request(request, values) for request in manifest.permissions)
        return tuple(request for request in found if request is not None)
    except ScopeError as error:
        raise GrantError(
            f"plugin {manifest.id}: {error}", remedy=f"Run: envcli plugin configure {manifest.id}"
        ) from error


def resolved_scopes(manifest: PluginManifest, config: InstanceConfig) -> frozenset[Scope]:
    """Scopes of one instance that come from its configuration; these are asked for again when they change."""
    requests = (request for request in manifest.permissions if request.references)
    found = (resolve_request(request, dict(config.values)) for request in requests)
    return frozenset(scope_of(request) for request in found if request is not None)


def effective(
    manifest: PluginManifest, manifest_sha256: str, config: InstanceConfig, grants: PluginGrants | None
) -> tuple[PermissionRequest, ...]:
    """What an instance may do now.

    Raises:
        GrantError: the plugin asks for more than was granted, or the instance's configuration changed a scope.
    """
    remedy = f"Run: envcli plugin permissions {manifest.id}"
    remedy += ("" if config.instance == DEFAULT else f" --instance {config.instance}") + " --grant"
    if grants is None:
        raise GrantError(f"plugin {manifest.id} was never granted anything", remedy=remedy)
    known = grants.granted | grants.revoked
    missing = [request for request in manifest.permissions if scope_of(request) not in known]
    if missing or grants.manifest_sha256 != manifest_sha256:
        raise GrantError(f"plugin {manifest.id} asks for something that nobody granted", remedy=remedy)
    resolve_all(manifest, config)
    resolved = resolved_scopes(manifest, config)
    unseen = resolved - grants.instances.get(config.instance, frozenset())
    if unseen:
        permission, scope = min(unseen)
        raise GrantError(
            f"plugin {manifest.id}, instance {config.instance}: its configuration leads to {permission} {scope}, "
            "which nobody granted",
            remedy=remedy,
        )
    if not _knows_settings(config, grants):
        names = ", ".join(line.partition(" ")[0] for line in config.settings)
        raise GrantError(
            f"plugin {manifest.id}, instance {config.instance}: the project {config.project} configures {names}, "
            "to which nobody agreed",
            remedy=remedy,
        )
    given = [request for request in manifest.permissions if scope_of(request) in grants.granted]
    found = (resolve_request(request, dict(config.values)) for request in given)
    return tuple(request for request in found if request is not None)


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a manifest asks for beside what was granted before.

    Attributes:
        shown: every request, its scope resolved where the instance's configuration allows.
        added: those that nobody agreed to yet.
        removed: scopes that were agreed to and are no longer asked for.
        is_widening: whether ``added`` goes beyond an earlier consent, instead of being the first one.
        unseen: settings of the project's file that nobody agreed to yet.
        is_reset: whether others were agreed to for this project before.
    """

    shown: tuple[PermissionRequest, ...]
    added: tuple[PermissionRequest, ...]
    removed: tuple[PermissionRequest, ...]
    is_widening: bool
    unseen: tuple[str, ...] = ()
    is_reset: bool = False


def compare(
    manifest: PluginManifest, config: InstanceConfig | None, before: PluginGrants | None
) -> Comparison:
    """Compare a manifest and an instance's configuration with the book.

    Raises:
        GrantError: a configured value makes no valid scope.
    """
    resolve_all(manifest, config)
    values = dict(config.values) if config is not None else {}
    known = (before.granted | before.revoked) if before is not None else frozenset()
    seen = before.instances.get(config.instance) if before is not None and config is not None else None
    shown, added, widens = [], [], False
    for request in manifest.permissions:
        resolved = resolve_request(request, values) or request
        is_new = scope_of(request) not in known
        is_unseen = resolved is not request and scope_of(resolved) not in (seen or frozenset())
        shown.append(resolved)
        if is_new or is_unseen:
            added.append(resolved)
            widens = widens or (before is not None and (is_new or seen is not None))
    asked = {scope_of(request) for request in manifest.permissions}
    removed = [PermissionRequest(PermissionName(name), scope, "") for name, scope in sorted(known - asked)]
    unseen: tuple[str, ...] = ()
    if config is not None and (before is None or not _knows_settings(config, before)):
        unseen = config.settings
    is_reset = bool(unseen) and before is not None and config is not None and config.place in before.projects
    return Comparison(tuple(shown), tuple(added), tuple(removed), widens, unseen, is_reset)


def _knows_settings(config: InstanceConfig, grants: PluginGrants) -> bool:
    """Whether the user agreed to what the project's file sets, if it sets anything."""
    return not config.settings or grants.projects.get(config.place) == config.settings_sha256


def granted_now(
    manifest: PluginManifest, manifest_sha256: str, config: InstanceConfig | None, before: PluginGrants | None
) -> PluginGrants:
    """The book's entry after the user agreed to ``manifest``; what was revoked before stays revoked."""
    instances = dict(before.instances) if before is not None else {}
    projects = dict(before.projects) if before is not None else {}
    if config is not None:
        instances[config.instance] = resolved_scopes(manifest, config)
        if config.settings:
            projects[config.place] = config.settings_sha256
    asked = frozenset(scope_of(request) for request in manifest.permissions)
    revoked = before.revoked if before is not None else frozenset()
    return PluginGrants(
        manifest_sha256=manifest_sha256,
        granted=asked - revoked,
        revoked=asked & revoked,
        instances=instances,
        projects=projects,
        when=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def without_permission(grants: PluginGrants, permission: str) -> PluginGrants:
    """The entry after the user took every grant of one permission back."""
    taken = frozenset(scope for scope in grants.granted if scope[0] == permission)
    return replace(grants, granted=grants.granted - taken, revoked=grants.revoked | taken)


def with_revoked_again(grants: PluginGrants) -> PluginGrants:
    """The entry after the user gave back everything that was revoked."""
    return replace(grants, granted=grants.granted | grants.revoked, revoked=frozenset())


def _entry(raw: Any) -> PluginGrants:
    return PluginGrants(
        manifest_sha256=str(raw["manifest_sha256"]),
        granted=_scopes(raw["granted"]),
        revoked=_scopes(raw["revoked"]),
        instances={str(name): _scopes(scopes) for name, scopes in raw["instances"].items()},
        projects={str(place): str(digest) for place, digest in raw.get("projects", {}).items()},
        when=str(raw["when"]),
    )


def _scopes(raw: Any) -> frozenset[Scope]:
    return frozenset((str(permission), str(scope)) for permission, scope in raw)


def _to_json(entry: PluginGrants) -> dict[str, Any]:
    return {
        "manifest_sha256": entry.manifest_sha256,
        "granted": sorted(entry.granted),
        "revoked": sorted(entry.revoked),
        "instances": {name: sorted(scopes) for name, scopes in entry.instances.items()},
        "projects": dict(entry.projects),
        "when": entry.when,
    }
