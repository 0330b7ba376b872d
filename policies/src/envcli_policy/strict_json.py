"""JSON that leaves no room for two readings (RFC 8259, tightened).

Signed documents are parsed by several programs. A duplicate key, a NaN or a number beyond 64 bits is read
differently by different parsers, so such documents are refused instead of interpreted.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from envcli_policy.errors import MalformedError

MAX_DEPTH = 32
MAX_TEXT = 1_000_000


def parse_json(data: bytes | str, *, limit: int, what: str) -> Any:
    """Parse one JSON document.

    Args:
        data: The document; bytes must be UTF-8 without a byte-order mark.
        limit: Largest accepted size in bytes.
        what: How an error names the document.

    Returns:
        The value, made of dict, list, str, int, float, bool and None.

    Raises:
        MalformedError: Too large, not UTF-8, not JSON, a duplicate key, NaN or Infinity, an integer
            beyond 64 bits, or nested deeper than ``MAX_DEPTH``.
    """
    raw = data.encode() if isinstance(data, str) else data
    if len(raw) > limit:
        raise MalformedError(f"{what} has {len(raw)} bytes, the limit is {limit}")
    try:
        value = json.loads(
            raw.decode("utf-8"),
            object_pairs_hook=lambda pairs: _unique(pairs, what),
            parse_constant=lambda name: _no_constant(name, what),
            parse_int=lambda digits: _small_integer(digits, what),
        )
    except (ValueError, RecursionError) as error:
        raise MalformedError(f"{what} is not valid JSON: {_first_line(error)}") from error
    _check_depth(value, what)
    return value


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:200]


def _unique(pairs: list[tuple[str, Any]], what: str) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise MalformedError(f"{what} repeats the key {twice[:80]!r}")
    return result


def _no_constant(name: str, what: str) -> Any:
    raise MalformedError(f"{what} holds {name}, which JSON does not know")


def _small_integer(digits: str, what: str) -> int:
    if len(digits) > 20:
        raise MalformedError(f"{what} holds an integer of {len(digits)} digits")
    return int(digits)


def _check_depth(value: Any, what: str) -> None:
    layer: list[Any] = [value]
    for _ in range(MAX_DEPTH):
        layer = [child for node in layer for child in _children(node)]
        if not layer:
            return
    raise MalformedError(f"{what} is nested deeper than {MAX_DEPTH} levels")


def _children(node: Any) -> Sequence[Any]:
    if isinstance(node, dict):
        return list(node.values())
    return node if isinstance(node, list) else ()


class Fields:
    """Typed access to one JSON object; every accessor raises `MalformedError` naming the document and
    field.
    """

    def __init__(self, value: Any, what: str) -> None:
        if not isinstance(value, Mapping):
            raise MalformedError(f"{what} must be an object")
        self._value: Mapping[str, Any] = value
        self.what = what

    def __contains__(self, name: str) -> bool:
        return self._value.get(name) is not None

    def only(self, *names: str) -> Fields:
        """Refuse fields other than these, so that a misspelt constraint cannot be silently ignored."""
        if surplus := sorted(set(self._value) - set(names)):
            raise MalformedError(f"{self.what} has the unknown field {surplus[0][:80]!r}")
        return self

    def text(self, name: str, *, limit: int = MAX_TEXT, empty: bool = False) -> str:
        """The string in this field; non-empty unless `empty`."""
        value = self._value.get(name)
        if not isinstance(value, str) or (not value and not empty) or len(value) > limit:
            raise MalformedError(f"{self.what}: {name!r} must be a text of 1 to {limit} characters")
        return value

    def optional_text(self, name: str, *, limit: int = MAX_TEXT) -> str | None:
        """The string in this field, None when the field is absent or null."""
        return self.text(name, limit=limit) if name in self else None

    def integer(self, name: str, *, low: int, high: int) -> int:
        """The integer in this field, between `low` and `high` inclusive."""
        value = self._value.get(name)
        if type(value) is not int or not low <= value <= high:
            raise MalformedError(f"{self.what}: {name!r} must be an integer from {low} to {high}")
        return value

    def sha256(self, name: str) -> str:
        """The lower-case hexadecimal SHA-256 in this field."""
        return check_sha256(self._value.get(name), f"{self.what}: {name!r}")

    def time(self, name: str) -> datetime:
        """The RFC 3339 time in this field, in UTC."""
        return parse_time(self._value.get(name), f"{self.what}: {name!r}")

    def optional_time(self, name: str) -> datetime | None:
        """The RFC 3339 time in this field, None when the field is absent or null."""
        return self.time(name) if name in self else None

    def object(self, name: str) -> Fields:
        """The object in this field."""
        return Fields(self._value.get(name), f"{self.what}: {name!r}")

    def mapping(self, name: str) -> dict[str, Any]:
        """The object in this field as a plain dict."""
        return dict(self.object(name)._value)

    def items(self, name: str, *, limit: int = 10_000) -> list[Any]:
        """The list in this field, at most `limit` long."""
        value = self._value.get(name)
        if not isinstance(value, list) or len(value) > limit:
            raise MalformedError(f"{self.what}: {name!r} must be a list of at most {limit} items")
        return value

    def objects(self, name: str, *, limit: int = 10_000) -> list[Fields]:
        """The list of objects in this field."""
        return [
            Fields(item, f"{self.what}: {name}[{n}]") for n, item in enumerate(self.items(name, limit=limit))
        ]

    def texts(self, name: str, *, limit: int = 10_000) -> tuple[str, ...]:
        """The list of strings in this field."""
        items = self.items(name, limit=limit)
        if not all(isinstance(item, str) for item in items):
            raise MalformedError(f"{self.what}: {name!r} must be a list of texts")
        return tuple(items)


def check_sha256(value: Any, what: str) -> str:
    """Return `value` when it is a lower-case hexadecimal SHA-256, else raise `MalformedError`."""
    if not isinstance(value, str) or len(value) != 64 or set(value) - set("0123456789abcdef"):
        raise MalformedError(f"{what} must be a SHA-256 of 64 lower-case hexadecimal digits")
    return value


def parse_time(value: Any, what: str) -> datetime:
    """Parse an RFC 3339 time that names its zone; return it in UTC, else raise `MalformedError`."""
    try:
        parsed = datetime.fromisoformat(value) if isinstance(value, str) and len(value) <= 40 else None
    except ValueError:
        parsed = None
    if parsed is None or parsed.tzinfo is None:
        raise MalformedError(f"{what} must be a time such as 2026-01-31T12:00:00Z")
    return parsed.astimezone(UTC)


def format_time(value: datetime) -> str:
    """Write a time as RFC 3339 in UTC with seconds, the form every document of envcli uses."""
    return value.astimezone(UTC).replace(microsecond=0).isoformat().replace("+00:00", "Z")
