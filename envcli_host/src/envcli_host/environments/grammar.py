"""The ``.env`` grammar: dotenvx's dialect without command substitution, as a real parser.

A file is a sequence of assignments, comments and blank lines::

    assignment = [ "export" ] NAME ( "=" | ":" blank ) value [ "#" comment ]
    NAME       = one or more of A-Z a-z 0-9 _ . -
    value      = bare | 'literal' | "with escapes" | `backticks`

* Bare values end at the line's end or at ``#``; surrounding blanks are dropped.
* Quoted values may span lines; ``\\r\\n`` and ``\\r`` inside them are read as ``\\n``.
* In double quotes ``\\n \\r \\t \\" \\\\ \\$`` and an escaped backtick are escapes; other backslashes stay.
* ``$NAME``, ``${NAME}``, ``${NAME:-word}``, ``${NAME-word}``, ``${NAME:+word}`` and ``${NAME+word}`` are
  expanded everywhere but in single quotes; ``\\$`` is a plain dollar sign. ``$(command)`` is plain text.

Two deliberate differences from dotenvx: what it would silently skip or keep half-read (an unfinished quote,
text behind a closing quote, a line that is no assignment) is an error with line and column, and ``\\\\`` and
``\\"`` are escapes in double quotes, because otherwise some strings could not be written at all.
``format_value`` and ``parse_document`` are inverse for every string that UTF-8 can hold.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from envcli_host.errors import EnvironmentStoreError

NAME = re.compile(r"[A-Za-z0-9_.-]+")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OPERATOR = re.compile(r":-|:\+|-|\+")
_BLANKS = re.compile(r"[ \t\f\v]*")
_SKIPPED = re.compile(r"(?:\s|#[^\r\n]*)*")
_EXPORT = re.compile(r"export[ \t]+(?=[A-Za-z0-9_.-])")
_ASSIGN = re.compile(r"[ \t]*=|[ \t]*:(?=[ \t]|[\r\n]|\Z)")
_LINE_END = re.compile(r"[ \t\f\v]*(?:#[^\r\n]*)?(?=[\r\n]|\Z)")
_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+,=-]+")
_LITERAL = {
    "": re.compile(r"[^\\$#\r\n]+"),
    "'": re.compile(r"[^\\'\r]+"),
    '"': re.compile(r'[^\\"$\r]+'),
    "`": re.compile(r"[^\\`$\r]+"),
    "}": re.compile(r"[^\\$}\r\n]+"),
}
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "$": "$", "`": "`"}
_MAX_DEPTH = 20
MAX_EXPANDED = 16 << 20

Part: TypeAlias = "str | Reference"


class GrammarError(EnvironmentStoreError):
    """The text is no ``.env`` file; ``line`` and ``column`` count from 1."""

    def __init__(self, message: str, *, line: int, column: int, remedy: str = "") -> None:
        super().__init__(f"line {line}, column {column}: {message}", remedy=remedy)
        self.line = line
        self.column = column


@dataclass(frozen=True)
class Reference:
    """``${name<operator>word}``; operator is one of ``"" :- - :+ +``."""

    name: str
    operator: str = ""
    word: tuple[Part, ...] = ()


@dataclass(frozen=True)
class Assignment:
    """One variable of a document, with the span of its value in the text."""

    name: str
    parts: tuple[Part, ...]
    quote: str
    line: int
    start: int
    value_start: int
    value_end: int
    end: int


@dataclass(frozen=True)
class Document:
    """A parsed file: its exact text and the assignments in it, in order."""

    text: str = ""
    assignments: tuple[Assignment, ...] = field(default=())

    def expand(self, outer: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return the values, last assignment of a name winning.

        Args:
            outer: values that references see where the file itself has none yet (an inherited
                environment, the process's variables). Names set in the file win over it.
        """
        found: dict[str, str] = {}
        outer, room = outer or {}, MAX_EXPANDED

        def lookup(name: str) -> str | None:
            nonlocal room
            value = found[name] if name in found else outer.get(name)
            room -= len(value or "")
            if room < 0:
                raise EnvironmentStoreError(
                    f"its references expand to more than {MAX_EXPANDED >> 20} million characters",
                    remedy="Variables that repeat one another grow with every step; write them out",
                )
            return value

        for assignment in self.assignments:
            found[assignment.name] = _expand(assignment.parts, lookup)
        return found

    def with_value(self, name: str, value: str) -> "Document":
        """Return the document with ``name`` set to ``value``, everything else as it was written."""
        verify_name(name)
        for assignment in reversed(self.assignments):
            if assignment.name == name:
                head, tail = self.text[: assignment.value_start], self.text[assignment.value_end :]
                gap = " " if tail.startswith("#") else ""
                return parse_document(f"{head}{format_value(value)}{gap}{tail}")
        ending = "" if not self.text or self.text.endswith(("\n", "\r")) else "\n"
        return parse_document(f"{self.text}{ending}{name}={format_value(value)}\n")

    def without(self, name: str) -> "Document":
        """Return the document without any assignment of ``name``."""
        text = self.text
        for assignment in reversed(self.assignments):
            if assignment.name == name:
                text = text[: assignment.start] + text[assignment.end :]
        return parse_document(text)


def decode(content: bytes) -> str:
    """Decode a file: UTF-8, or UTF-16 and UTF-8 with a byte order mark.

    Raises:
        GrammarError: the bytes are not text in these encodings.
    """
    utf16 = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        return content.decode("utf-16" if utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        column = error.start - content.rfind(b"\n", 0, error.start)
        raise GrammarError(
            "the bytes are not UTF-8", line=line, column=column, remedy="Save the file as UTF-8"
        ) from error


def parse_document(text: str) -> Document:
    """Parse the text of a ``.env`` file.

    Raises:
        GrammarError: with the line and column where the text stops making sense.
    """
    return Document(text, tuple(_Scanner(text).assignments()))


def format_value(value: str) -> str:
    """Write ``value`` so that parsing gives it back; plain or single-quoted where that is enough.

    Every known parser reads those two forms alike.
    """
    if _PLAIN.fullmatch(value) or not value:
        return value
    if not value.endswith("\\") and "'" not in value and "\r" not in value:
        return f"'{value}'"
    escaped = re.sub(r'[\\"$`]', r"\\\g<0>", value).replace("\r", "\\r")
    return f'"{escaped}"'


def verify_name(name: str) -> None:
    """Check that ``name`` can stand left of ``=`` and in a process' environment.

    Raises:
        EnvironmentStoreError: it cannot.
    """
    if not NAME.fullmatch(name):
        raise EnvironmentStoreError(
            f"{name!r} is no variable name", remedy="Use letters, digits, '_', '.' and '-' only"
        )


def _expand(parts: tuple[Part, ...], lookup: Callable[[str], str | None]) -> str:
    return "".join(part if isinstance(part, str) else _resolve(part, lookup) for part in parts)


def _resolve(reference: Reference, lookup: Callable[[str], str | None]) -> str:
    value = lookup(reference.name)
    present = bool(value) if reference.operator.startswith(":") else value is not None
    if reference.operator.endswith("+"):
        return _expand(reference.word, lookup) if present else ""
    if reference.operator.endswith("-") and not present:
        return _expand(reference.word, lookup)
    return value or ""


class _Scanner:
    """One pass over the text; ``at`` is the position of the next character."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self._line_starts = [0, *(found.end() for found in re.finditer(r"\r\n|\r|\n", text))]

    def assignments(self) -> Iterator[Assignment]:
        while True:
            self._take(_SKIPPED)
            if self.at >= len(self.text):
                return
            yield self._assignment()

    def _assignment(self) -> Assignment:
        line = bisect_right(self._line_starts, self.at)
        start = self._line_starts[line - 1]
        self._take(_EXPORT)
        name = self._take(NAME)
        if not name:
            raise self._error("expected a variable name", "Start comments with '#'")
        if not self._take(_ASSIGN):
            raise self._error(f"expected '=' after {name}", f"Write {name}=value")
        self._take(_BLANKS)
        value_start = self.at
        parts, quote = self._value()
        value_end = self.at
        self._end_of_line(quote)
        return Assignment(name, parts, quote, line, start, value_start, value_end, self.at)

    def _value(self) -> tuple[tuple[Part, ...], str]:
        quote = self.text[self.at : self.at + 1]
        if quote not in {"'", '"', "`"}:
            return self._bare(), ""
        opened = self.at
        self.at += 1
        parts = self._parts(quote)
        if not self.text.startswith(quote, self.at):
            self.at = opened
            raise self._error(f"this {quote} is never closed", f"Close it with {quote}")
        self.at += 1
        return parts, quote

    def _bare(self) -> tuple[Part, ...]:
        parts = self._parts("")
        if not parts or not isinstance(parts[-1], str):
            return parts
        last = parts[-1].rstrip(" \t\f\v")
        self.at -= len(parts[-1]) - len(last)
        return (*parts[:-1], last) if last else parts[:-1]

    def _parts(self, quote: str, depth: int = 0) -> tuple[Part, ...]:
        """Read up to the delimiter ``quote`` ("" = end of a bare value, "}" = inside braces)."""
        parts: list[Part] = []
        text: list[str] = []  # joined at once: one by one takes quadratic time
        while self.at < len(self.text):
            piece = self._piece(quote, depth)
            if piece is None:
                break
            if isinstance(piece, str):
                text.append(piece)
                continue
            parts += ["".join(text), piece] if text else [piece]
            text.clear()
        return (*parts, "".join(text)) if text else tuple(parts)

    def _piece(self, quote: str, depth: int) -> "Part | None":
        if literal := self._take(_LITERAL[quote]):
            return literal
        char = self.text[self.at]
        if char == "\\":
            return self._escape(quote)
        if char == "$":
            return self._dollar(depth)
        if char == "\r" and quote in {"'", '"', "`"}:
            self.at += 2 if self.text.startswith("\r\n", self.at) else 1
            return "\n"
        return None

    def _escape(self, quote: str) -> str:
        after = self.text[self.at + 1 : self.at + 2]
        if quote == "'" or (quote == "`" and after == "`"):
            return self._raw(2 if after == quote else 1)
        if quote == '"' and after in _ESCAPES and after:
            self.at += 2
            return _ESCAPES[after]
        if after and after in {"$", quote}:
            self.at += 2
            return after
        return self._raw(1)

    def _raw(self, count: int) -> str:
        self.at += count
        return self.text[self.at - count : self.at]

    def _dollar(self, depth: int) -> Part:
        self.at += 1
        if self.text.startswith("{", self.at):
            return self._braces(depth + 1)
        name = self._take(_VARIABLE)
        return Reference(name) if name else "$"

    def _braces(self, depth: int) -> Reference:
        opened = self.at - 1
        self.at += 1
        name = self._take(_VARIABLE)
        operator = self._take(_OPERATOR)
        if not name or depth > _MAX_DEPTH:
            self.at = opened
            raise self._error("this ${ is no reference to a variable", "Write \\$ for a plain dollar sign")
        word = self._parts("}", depth) if operator else ()
        if not self.text.startswith("}", self.at):
            self.at = opened
            raise self._error(
                "this ${ is never closed", "Close it with } or write \\$ for a plain dollar sign"
            )
        self.at += 1
        return Reference(name, operator, word)

    def _end_of_line(self, quote: str) -> None:
        if _LINE_END.match(self.text, self.at) is None:
            raise self._error(f"unexpected text behind the closing {quote}", "Quote the whole value")
        self._take(_LINE_END)
        if self.text.startswith("\r\n", self.at):
            self.at += 2
        elif self.at < len(self.text):
            self.at += 1

    def _take(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self.text, self.at)
        if found is None:
            return ""
        self.at = found.end()
        return found.group()

    def _error(self, message: str, remedy: str) -> GrammarError:
        line = bisect_right(self._line_starts, self.at)
        return GrammarError(
            message, line=line, column=self.at - self._line_starts[line - 1] + 1, remedy=remedy
        )
