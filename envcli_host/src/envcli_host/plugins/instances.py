"""Configured instances of a plugin: plain values, and where each secret comes from.

A project's ``config.toml`` (shared, so it holds no secret) gives the ground, the user's own file beside the host's
configuration (mode 0600) overrides it. A secret is either stored there, or is a reference to a variable of a named
environment, written ``{ variable = "local:VAULT_TOKEN" }``.
"""

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from envcli_sdk.errors import ConfigError as SchemaError
from envcli_sdk.manifest import PluginManifest
from envcli_sdk.secret import Secret
from envcli_sdk.settings import ConfigField, FieldType, validate_config

from envcli_host.config import HostPaths
from envcli_host.errors import ConfigError
from envcli_host.files import read_bounded, write_atomically
from envcli_host.plugins.access import ProjectAccess

DEFAULT = "default"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_REFERENCE = re.compile(r"([A-Za-z0-9][A-Za-z0-9_-]{0,63}):([A-Za-z0-9_.-]{1,256})")
_MAX_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class VariableReference:
    """A secret that is a variable of a named environment."""

    environment: str
    name: str

    def __str__(self) -> str:
        return f"{self.environment}:{self.name}"


@dataclass(frozen=True, slots=True)
class InstanceConfig:
    """One instance's configuration, checked against the schema.

    Attributes:
        instance: its name.
        values: everything that is no secret.
        secrets: stored secrets and references by field name; never handed to the plugin as a whole.
        project: real path of the project whose file counts as well, or "".
        settings: what that file decides, one ``name = value`` a line; whoever wrote the project wrote them.
    """

    instance: str
    values: Mapping[str, str | int | bool]
    secrets: Mapping[str, Secret | VariableReference] = field(default_factory=dict)
    project: str = ""
    settings: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        """What consent to ``settings`` is kept under: the instance and the project."""
        return f"{self.instance}@{self.project}"

    @property
    def settings_sha256(self) -> str:
        """What consent to ``settings`` is bound to."""
        return hashlib.sha256(json.dumps(self.settings).encode()).hexdigest()


def verify_instance_name(name: str) -> None:
    """Raise ConfigError unless ``name`` can name an instance."""
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"{name!r} is no name of an instance", remedy="Use up to 64 letters, digits, '-' and '_'"
        )


def load_instance(
    manifest: PluginManifest, instance: str, project: ProjectAccess | None, paths: HostPaths
) -> InstanceConfig:
    """Read and check one instance's configuration.

    Raises:
        ConfigError: a value is missing, unknown or of the wrong type, or a project's file holds a secret.
    """
    verify_instance_name(instance)
    plain, secrets = _of_project(manifest, instance, project)
    stored = _stored(manifest.id, paths).get(instance, {})
    foreign = sorted({*plain, *secrets} - set(stored))
    for name, value in stored.items():
        plain.pop(name, None)
        secrets.pop(name, None)
        target: dict[str, Any] = secrets if _is_secret(manifest, name) else plain
        target[name] = _parse_secret(value, name) if _is_secret(manifest, name) else value
    shown: dict[str, Any] = {name: Secret("x") for name in secrets}
    try:
        checked = validate_config(manifest.config, plain | shown)
    except SchemaError as error:
        raise ConfigError(
            f"plugin {manifest.id}, instance {instance}: {error}",
            remedy=f"Run: envcli plugin configure {manifest.id}{_option(instance)} NAME=VALUE",
        ) from error
    values = {name: value for name, value in checked.items() if not isinstance(value, Secret)}
    settings = tuple(
        f"{name} = variable {secrets[name]}" if name in secrets else f"{name} = {json.dumps(values[name])}"
        for name in foreign
    )
    root = os.path.realpath(project.root) if project is not None else ""
    return InstanceConfig(instance, values, secrets, root, settings)


def store_values(
    plugin_id: str,
    instance: str,
    values: Mapping[str, str | int | bool | Secret | VariableReference | None],
    paths: HostPaths,
) -> None:
    """Set values of the user's own file, or remove those that are None."""
    verify_instance_name(instance)
    everything = _stored(plugin_id, paths)
    table = everything.setdefault(instance, {})
    for name, value in values.items():
        if value is None:
            table.pop(name, None)
        elif isinstance(value, Secret):
            table[name] = {"secret": value.value}
        elif isinstance(value, VariableReference):
            table[name] = {"variable": str(value)}
        else:
            table[name] = value
    write_atomically(_file(plugin_id, paths), json.dumps({"version": 1, "instances": everything}).encode())


def forget(plugin_id: str, paths: HostPaths) -> None:
    """Remove everything that the user configured for a plugin, secrets included."""
    _file(plugin_id, paths).unlink(missing_ok=True)


def parse_reference(text: str) -> VariableReference:
    """Read ``environment:NAME``.

    Raises:
        ConfigError: it is something else.
    """
    found = _REFERENCE.fullmatch(text)
    if not found:
        raise ConfigError(
            f"{text[:80]!r} names no variable", remedy="Write ENVIRONMENT:NAME, for example local:VAULT_TOKEN"
        )
    return VariableReference(found[1], found[2])


def known_instances(manifest: PluginManifest, paths: HostPaths) -> tuple[str, ...]:
    """Names of the instances in the user's file, and ``default``."""
    return tuple(sorted({DEFAULT, *_stored(manifest.id, paths)}))


def field_of(manifest: PluginManifest, name: str) -> ConfigField:
    """The schema's field of that name.

    Raises:
        ConfigError: there is none.
    """
    for item in manifest.config:
        if item.name == name:
            return item
    known = ", ".join(item.name for item in manifest.config) or "none"
    raise ConfigError(
        f"plugin {manifest.id} has no configuration field {name!r}", remedy=f"Known fields: {known}"
    )


def _of_project(
    manifest: PluginManifest, instance: str, project: ProjectAccess | None
) -> tuple[dict[str, Any], dict[str, Secret | VariableReference]]:
    name = manifest.id if instance == DEFAULT else f"{manifest.id}@{instance}"
    table = project.plugin_config(name) if project is not None else {}
    plain = {key: value for key, value in table.items() if not _is_secret(manifest, key)}
    secrets: dict[str, Secret | VariableReference] = {}
    for key, value in table.items():
        if not _is_secret(manifest, key):
            continue
        if not isinstance(value, dict) or set(value) != {"variable"}:
            raise ConfigError(
                f"the project's configuration holds the secret {key} of plugin {manifest.id}",
                remedy=f'Write {key} = {{ variable = "ENVIRONMENT:NAME" }}, or configure it with envcli',
            )
        secrets[key] = _parse_secret(value, key)
    return plain, secrets


def _parse_secret(value: object, name: str) -> Secret | VariableReference:
    if isinstance(value, dict) and isinstance(value.get("secret"), str):
        return Secret(value["secret"])
    if isinstance(value, dict) and isinstance(value.get("variable"), str):
        return parse_reference(value["variable"])
    raise ConfigError(
        f"configuration field {name} is no secret as envcli stores it", remedy="Configure it again"
    )


def _stored(plugin_id: str, paths: HostPaths) -> dict[str, dict[str, Any]]:
    path = _file(plugin_id, paths)
    try:
        raw = json.loads(read_bounded(path, _MAX_BYTES))
        return {str(name): dict(table) for name, table in raw["instances"].items() if raw["version"] == 1}
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"{path} is malformed", remedy="Remove it and configure the plugin again"
        ) from error


def _file(plugin_id: str, paths: HostPaths) -> Path:
    return paths.config / "plugins" / f"{plugin_id}.json"


def _is_secret(manifest: PluginManifest, name: str) -> bool:
    return any(item.name == name and item.type is FieldType.SECRET for item in manifest.config)


def _option(instance: str) -> str:
    return "" if instance == DEFAULT else f" --instance {instance}"


def stored_values(plugin_id: str, instance: str, paths: HostPaths) -> Mapping[str, object]:
    """One instance's table in the user's own file, as it is stored."""
    return dict(_stored(plugin_id, paths).get(instance, {}))


def revive(value: object) -> str | int | bool | Secret | VariableReference | None:
    """A stored value as `store_values` takes it."""
    if isinstance(value, dict):
        return _parse_secret(value, "value")
    return value if isinstance(value, (str, int, bool)) else None
