"""A plugin's configuration schema (the ``[config]`` tables of its manifest) and values checked against it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from envcli_sdk.errors import ConfigError
from envcli_sdk.secret import Secret

ConfigValue: TypeAlias = "str | int | bool | Secret"
MAX_VALUE = 64 * 1024


class FieldType(StrEnum):
    """Types of configuration fields."""

    STRING = "string"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    SECRET = "secret"  # noqa: S105 - the name of a type


@dataclass(frozen=True, slots=True)
class ConfigField:
    """One field of a plugin's configuration.

    Attributes:
        name: as plugin code and scopes refer to it.
        type: what values it takes; a secret never has a default and is released per call.
        default: used when nothing is configured, or None.
        help: one line for people.
        required: the plugin does not run without a value.
    """

    name: str
    type: FieldType
    default: str | int | bool | None = None
    help: str = ""
    required: bool = False


def parse_value(field: ConfigField, text: str) -> ConfigValue:
    """Turn what a user typed into a value of the field's type.

    Raises:
        ConfigError: it is not one.
    """
    if field.type is FieldType.INTEGER:
        try:
            return int(text)
        except ValueError:
            raise ConfigError(f"{field.name} takes a whole number") from None
    if field.type is FieldType.BOOLEAN:
        known = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
        if text.lower() not in known:
            raise ConfigError(f"{field.name} takes true or false")
        return known[text.lower()]
    return validate_value(field, Secret(text) if field.type is FieldType.SECRET else text)


def validate_value(field: ConfigField, value: object) -> ConfigValue:
    """Return ``value`` if it has the field's type and a sane size.

    Raises:
        ConfigError: it does not. The message never holds the value.
    """
    if isinstance(value, bool):
        fits = field.type is FieldType.BOOLEAN
    elif isinstance(value, int):
        fits = field.type is FieldType.INTEGER
    elif isinstance(value, str):
        fits = field.type is FieldType.STRING
    else:
        fits = field.type is FieldType.SECRET and isinstance(value, Secret)
    if not fits:
        raise ConfigError(f"{field.name} takes a value of type {field.type}")
    text = value.value if isinstance(value, Secret) else str(value)
    if len(text) > MAX_VALUE or "\x00" in text:
        raise ConfigError(f"{field.name} is longer than {MAX_VALUE} characters or holds a NUL")
    assert isinstance(value, (str, int, bool, Secret))  # noqa: S101 - narrows for the type checker, checked above
    return value


def validate_config(fields: tuple[ConfigField, ...], raw: Mapping[str, object]) -> dict[str, ConfigValue]:
    """Check one instance's values against the schema and fill in defaults.

    Args:
        fields: the schema.
        raw: configured values by field name.

    Returns:
        A value for every field that has one.

    Raises:
        ConfigError: a field is unknown, required and missing, or of the wrong type.
    """
    known = {field.name: field for field in fields}
    unknown = sorted(set(raw) - set(known))
    if unknown:
        raise ConfigError(
            f"unknown configuration field {unknown[0]!r}; known are {', '.join(known) or 'none'}"
        )
    values: dict[str, ConfigValue] = {}
    for field in fields:
        if field.name in raw:
            values[field.name] = validate_value(field, raw[field.name])
        elif field.default is not None:
            values[field.name] = field.default
        elif field.required:
            raise ConfigError(f"configuration field {field.name!r} is required and has no value")
    return values
