"""``plugin.toml``: what a plugin is, offers, wants and can be configured with. Parsed strictly."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NoReturn, TypeVar, cast

from envcli_sdk.errors import ManifestError, ScopeError
from envcli_sdk.names import EVENT, IDENTIFIER
from envcli_sdk.permissions import PermissionName, PermissionRequest, verify_scope
from envcli_sdk.settings import ConfigField, FieldType

MAX_BYTES = 64 * 1024
MAX_ENTRIES = 64
MAX_TEXT = 400
ENTRY_POINT_GROUP = "envcli.plugins"
MANIFEST_NAME = "plugin.toml"
_FIELD = re.compile(r"[a-z][a-z0-9_]{0,63}")
_VERSION = re.compile(r"[0-9]{1,5}(?:\.[0-9]{1,5}){0,3}")
_TOP = {"schema", "id", "type", "minimum_host_version", "contributes", "permissions", "config"}

_Enum = TypeVar("_Enum", bound=StrEnum)


class PluginType(StrEnum):
    """What a plugin mainly is."""

    COMMAND = "command"
    VALIDATION_RULE = "validation-rule"
    INTEGRATION = "integration"
    WORKFLOW = "workflow"
    ANALYTICS = "analytics"
    THEME = "theme"


class ContributionKind(StrEnum):
    """What a plugin adds to the host."""

    COMMAND = "command"
    RULE = "rule"
    SCHEME = "scheme"
    EVENT = "event"
    WORKFLOW = "workflow"
    REPORT = "report"
    THEME = "theme"


_EXPECTED: dict[PluginType, frozenset[ContributionKind]] = {
    PluginType.COMMAND: frozenset({ContributionKind.COMMAND}),
    PluginType.VALIDATION_RULE: frozenset({ContributionKind.RULE}),
    PluginType.INTEGRATION: frozenset({ContributionKind.SCHEME}),
    PluginType.WORKFLOW: frozenset({ContributionKind.WORKFLOW}),
    PluginType.ANALYTICS: frozenset({ContributionKind.EVENT, ContributionKind.REPORT}),
    PluginType.THEME: frozenset({ContributionKind.THEME}),
}


@dataclass(frozen=True, slots=True)
class Contribution:
    """One thing that a plugin adds: the host routes by ``kind`` and ``name`` without importing the plugin."""

    kind: ContributionKind
    name: str
    summary: str


@dataclass(frozen=True, slots=True)
class PluginManifest:
    """A parsed ``plugin.toml``.

    Attributes:
        id: unique short name.
        type: what it mainly is.
        minimum_host_version: oldest host that it runs with.
        contributes: what it adds.
        permissions: what it asks for; it holds nothing else.
        config: its configuration schema.
        text: the file, verbatim.
    """

    id: str
    type: PluginType
    minimum_host_version: str
    contributes: tuple[Contribution, ...]
    permissions: tuple[PermissionRequest, ...]
    config: tuple[ConfigField, ...]
    text: str

    def contributions(self, kind: ContributionKind) -> tuple[Contribution, ...]:
        """Those of one kind."""
        return tuple(item for item in self.contributes if item.kind is kind)


def parse_manifest(raw: bytes | str) -> PluginManifest:
    """Parse and check a manifest.

    Args:
        raw: the file's bytes (UTF-8) or text, at most 64 KiB.

    Raises:
        ManifestError: it is too large, no TOML, or says something unknown; the message names line and entry.
    """
    text = _decode(raw)
    try:
        table = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ManifestError(f"{MANIFEST_NAME} is no valid TOML: {error}") from error
    return _Reader(text).manifest(table)


def _decode(raw: bytes | str) -> str:
    try:
        data = raw.encode("utf-8") if isinstance(raw, str) else raw
        if len(data) > MAX_BYTES:
            raise ManifestError(f"{MANIFEST_NAME} has {len(data)} bytes; the limit is {MAX_BYTES}")
        return data.decode("utf-8")
    except UnicodeError as error:
        raise ManifestError(f"{MANIFEST_NAME} is not UTF-8; save it as UTF-8") from error


def is_plain_text(text: str) -> bool:
    """Whether ``text`` prints as one line and cannot steer a terminal or reorder what stands around it."""
    return all(unicodedata.category(char) not in {"Cc", "Cf", "Co", "Cs", "Zl", "Zp"} for char in text)


class _Reader:
    """Turns TOML tables into types; knows the text only to name lines."""

    def __init__(self, text: str) -> None:
        self._text = text

    def manifest(self, table: Mapping[str, Any]) -> PluginManifest:
        self._keys(table, _TOP, {"schema", "id", "type", "minimum_host_version"}, "", "the top level")
        if table["schema"] is True or table["schema"] != 1:
            self._fail("schema", f"schema {table['schema']!r} is unknown; this SDK reads schema 1")
        found = PluginManifest(
            id=self._word(table, "id", IDENTIFIER, "lower-case words joined by '-'", "id"),
            type=self._choice(table, "type", PluginType, "type"),
            minimum_host_version=self._word(
                table, "minimum_host_version", _VERSION, "a version such as 0.1", "minimum_host_version"
            ),
            contributes=self._entries(table, "contributes", self._contribution),
            permissions=self._entries(table, "permissions", self._permission),
            config=self._config(table.get("config", {})),
            text=self._text,
        )
        self._verify_whole(found)
        return found

    def _contribution(self, entry: Mapping[str, Any], place: str) -> Contribution:
        self._keys(entry, {"kind", "name", "summary"}, {"kind", "name", "summary"}, place, place)
        kind = self._choice(entry, "kind", ContributionKind, place)
        grammar, words = (
            (EVENT, "'subject.verb/1'") if kind is ContributionKind.EVENT else (IDENTIFIER, "a-z, 0-9, '-'")
        )
        return Contribution(
            kind, self._word(entry, "name", grammar, words, place), self._line(entry, "summary", place)
        )

    def _permission(self, entry: Mapping[str, Any], place: str) -> PermissionRequest:
        self._keys(entry, {"permission", "scope", "reason"}, {"permission", "scope", "reason"}, place, place)
        request = PermissionRequest(
            self._choice(entry, "permission", PermissionName, place),
            self._line(entry, "scope", place),
            self._line(entry, "reason", place),
        )
        try:
            verify_scope(request)
        except ScopeError as error:
            self._fail(place, f"scope: {error}")
        return request

    def _config(self, tables: object) -> tuple[ConfigField, ...]:
        if not isinstance(tables, dict) or len(tables) > MAX_ENTRIES:
            self._fail("config", f"config must be at most {MAX_ENTRIES} tables [config.name]")
        return tuple(self._field(name, entry) for name, entry in tables.items())

    def _field(self, name: str, entry: object) -> ConfigField:
        place = f"config.{name}"
        if not _FIELD.fullmatch(name) or not isinstance(entry, dict):
            self._fail("config", f"{name!r} must be a table [config.name] with a name of a-z, 0-9 and '_'")
        self._keys(entry, {"type", "default", "help", "required"}, {"type"}, place, place)
        kind = self._choice(entry, "type", FieldType, place)
        required = entry.get("required", False)
        if not isinstance(required, bool):
            self._fail(place, "required must be true or false")
        text = self._line(entry, "help", place) if "help" in entry else ""
        return ConfigField(name, kind, self._default(entry, kind, place), text, required)

    def _default(self, entry: Mapping[str, Any], kind: FieldType, place: str) -> str | int | bool | None:
        if "default" not in entry:
            return None
        value = entry["default"]
        if kind is FieldType.SECRET:
            self._fail(place, "a secret takes no default")
        wanted = {FieldType.STRING: str, FieldType.INTEGER: int, FieldType.BOOLEAN: bool}[kind]
        if type(value) is not wanted:
            self._fail(place, f"default must be of type {kind}")
        if isinstance(value, str) and (len(value) > MAX_TEXT or not is_plain_text(value)):
            self._fail(place, f"default must be one line of at most {MAX_TEXT} characters")
        return cast("str | int | bool", value)

    def _verify_whole(self, found: PluginManifest) -> None:
        names = [(item.kind, item.name) for item in found.contributes]
        for index, (kind, name) in enumerate(names):
            if (kind, name) in names[:index]:
                self._fail(f"contributes[{index}]", f"{kind} {name!r} is contributed twice")
        if not any(item.kind in _EXPECTED[found.type] for item in found.contributes):
            wanted = " or ".join(sorted(_EXPECTED[found.type]))
            self._fail("contributes", f"a plugin of type {found.type} must contribute a {wanted}")
        fields = {field.name: field for field in found.config}
        for index, request in enumerate(found.permissions):
            for name in request.references:
                if name not in fields or fields[name].type in {FieldType.SECRET, FieldType.BOOLEAN}:
                    self._fail(
                        f"permissions[{index}]",
                        f"scope refers to config.{name}, which is no string or integer field",
                    )

    def _entries(
        self, table: Mapping[str, Any], key: str, parse: Callable[[Mapping[str, Any], str], Any]
    ) -> tuple[Any, ...]:
        entries = table.get(key, [])
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            self._fail(key, f"{key} must be tables written as [[{key}]]")
        if len(entries) > MAX_ENTRIES:
            self._fail(key, f"{key} has {len(entries)} entries; the limit is {MAX_ENTRIES}")
        return tuple(parse(entry, f"{key}[{index}]") for index, entry in enumerate(entries))

    def _keys(
        self, table: Mapping[str, Any], known: set[str], needed: set[str], place: str, name: str
    ) -> None:
        for key in table:
            if key not in known:
                self._fail(
                    place or str(key), f"unknown key {key!r} in {name}; known are {', '.join(sorted(known))}"
                )
        for key in sorted(needed - set(table)):
            self._fail(place, f"key {key!r} is missing in {name}")

    def _line(self, table: Mapping[str, Any], key: str, place: str) -> str:
        value = table[key]
        if (
            not isinstance(value, str)
            or not value.strip()
            or len(value) > MAX_TEXT
            or not is_plain_text(value)
        ):
            self._fail(place, f"{key} must be one line of 1 to {MAX_TEXT} printable characters")
        return value

    def _word(
        self, table: Mapping[str, Any], key: str, grammar: re.Pattern[str], words: str, place: str
    ) -> str:
        value = table[key]
        if not isinstance(value, str) or len(value) > 64 or not grammar.fullmatch(value):
            self._fail(place, f"{key} must be {words}, at most 64 characters")
        return value

    def _choice(self, table: Mapping[str, Any], key: str, choices: type[_Enum], place: str) -> _Enum:
        try:
            return choices(table[key])
        except ValueError:
            self._fail(place, f"unknown {key} {str(table[key])[:60]!r}; known are {', '.join(choices)}")

    def _fail(self, place: str, message: str) -> NoReturn:
        line = _line_of(self._text, place)
        where = f" line {line}" if line else ""
        named = f" {place}:" if place else ""
        raise ManifestError(f"{MANIFEST_NAME}{where}:{named} {message}")


def _line_of(text: str, place: str) -> int | None:
    """The line on which an entry starts, as far as its usual spelling is found."""
    found = re.fullmatch(r"(\w+)\[(\d+)\]", place)
    if found:
        pattern, skip = rf"^\s*\[\[\s*{found[1]}\s*\]\]", int(found[2])
    elif place.startswith("config."):
        pattern, skip = rf"^\s*\[\s*{re.escape(place)}\s*\]", 0
    elif place:
        pattern, skip = rf"^\s*(?:\[+\s*)?[\"']?{re.escape(place)}\b", 0
    else:
        return None
    for number, line in enumerate(text.splitlines(), start=1):
        if re.match(pattern, line):
            if skip == 0:
                return number
            skip -= 1
    return None
