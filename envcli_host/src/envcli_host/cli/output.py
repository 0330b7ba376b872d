"""What the terminal gets to see. Text from an index, a plugin or a file is untrusted until escaped here."""

import json
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

_SHOWN_CONTROLS = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_HIDDEN_CATEGORIES = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def escape_controls(text: str) -> str:
    """Return ``text`` on one line, with control, direction and other invisible characters written as escapes.

    So no text from outside can move the cursor, recolour, overwrite or reorder what stands on the terminal.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_escape, text))


def print_json(document: Any) -> None:
    """Print ``document`` as indented JSON, ASCII only."""
    print(json.dumps(document, indent=2, sort_keys=False, default=str))


def print_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print columns padded to their widest cell; cells are escaped."""
    cells = [tuple(headings), *(tuple(escape_controls(cell) for cell in row) for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(headings))]
    for row in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def warn(message: str) -> None:
    """Print a warning on standard error."""
    print(f"warning: {escape_controls(message)}", file=sys.stderr)


def note(message: str) -> None:
    """Print a remark on standard error, so that standard output stays machine-readable."""
    print(escape_controls(message), file=sys.stderr)


def _escape(character: str) -> str:
    if character in _SHOWN_CONTROLS:
        return _SHOWN_CONTROLS[character]
    if unicodedata.category(character) in _HIDDEN_CATEGORIES:
        code = ord(character)
        return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
    return character
