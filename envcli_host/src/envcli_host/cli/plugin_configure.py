"""``envcli plugin configure``: values, secrets, and consent to what they lead to."""

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING

from envcli_sdk.errors import ConfigError as SchemaError
from envcli_sdk.secret import Secret
from envcli_sdk.settings import FieldType, parse_value

from envcli_host.cli.output import escape_controls, print_json
from envcli_host.cli.plugin_install import answers_of, current_project
from envcli_host.cli.prompts import read_secret
from envcli_host.config import HostPaths
from envcli_host.errors import ConfigError, UsageError
from envcli_host.plugins import instances, permissions
from envcli_host.plugins.registry import Registry

if TYPE_CHECKING:
    from envcli_sdk.manifest import PluginManifest

    Values = dict[str, str | int | bool | Secret | instances.VariableReference | None]


def run_configure(arguments: argparse.Namespace) -> int:
    """Store what was given, ask where it leads to a new scope, and show the result."""
    paths = HostPaths.from_environment()
    record = Registry.load(paths).find(arguments.plugin)
    manifest, _ = permissions.read_manifest(record, paths)
    values = _given(arguments, manifest)
    if values:
        before = _as_stored(manifest, arguments.instance, paths)
        instances.store_values(manifest.id, arguments.instance, values, paths)
        try:
            instances.load_instance(manifest, arguments.instance, current_project(), paths)
            answers = answers_of(arguments)
            permissions.grant(
                record, arguments.instance, current_project(), paths, answers, is_users_own_change=True
            )
        except BaseException:
            instances.store_values(manifest.id, arguments.instance, _undo(values, before), paths)
            raise
    _show(arguments, manifest, paths)
    return 0


def _given(arguments: argparse.Namespace, manifest: "PluginManifest") -> "Values":
    values: Values = {}
    for name, text in (_split(item) for item in arguments.values):
        field = instances.field_of(manifest, name)
        if field.type is FieldType.SECRET:
            raise UsageError(
                f"{name} is a secret, and a command line can be read by others",
                remedy=f"Pass --secret {name} and type it, or --secret-from {name}=ENVIRONMENT:NAME",
            )
        try:
            value = parse_value(field, text)
        except SchemaError as error:
            raise ConfigError(str(error)) from error
        values[name] = value
    for name, text in (_split(item) for item in arguments.secret_from):
        _verify_secret(manifest, name)
        values[name] = instances.parse_reference(text)
    if arguments.secret:
        _verify_secret(manifest, arguments.secret)
        values[arguments.secret] = Secret(read_secret(arguments.secret))
    for name in arguments.unset:
        values[instances.field_of(manifest, name).name] = None
    return values


def _verify_secret(manifest: "PluginManifest", name: str) -> None:
    if instances.field_of(manifest, name).type is not FieldType.SECRET:
        raise UsageError(f"{name} is no secret", remedy=f"Write {name}=VALUE")


def _as_stored(manifest: "PluginManifest", instance: str, paths: HostPaths) -> "Mapping[str, object]":
    return instances.stored_values(manifest.id, instance, paths)


def _undo(values: "Values", before: Mapping[str, object]) -> "Values":
    return {name: instances.revive(before.get(name)) for name in values}


def _split(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator:
        raise UsageError(f"{text[:80]!r} is no FIELD=VALUE", remedy="Write FIELD=VALUE")
    return name, value


def _show(arguments: argparse.Namespace, manifest: "PluginManifest", paths: HostPaths) -> None:
    config = instances.load_instance(manifest, arguments.instance, current_project(), paths)
    shown: dict[str, object] = dict(config.values)
    for name, source in config.secrets.items():
        shown[name] = f"from {source}" if isinstance(source, instances.VariableReference) else str(source)
    if arguments.json:
        print_json({"plugin": manifest.id, "instance": config.instance, "values": shown})
        return
    for field in manifest.config:
        value = shown.get(field.name, "(not set)")
        print(
            escape_controls(
                f"{field.name} = {value}  # {field.type}{', ' + field.help if field.help else ''}"
            )
        )
