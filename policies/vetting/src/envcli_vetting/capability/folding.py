"""Folding constant expressions, as far as hiding a name is worth the effort: joins, slices, codecs,
``chr``.
"""

from __future__ import annotations

import ast
import base64
import binascii
from collections.abc import Callable, Mapping

MAX_LENGTH = 64 * 1024
MAX_DEPTH = 40

_DECODERS: Mapping[str, Callable[[bytes], bytes]] = {
    "base64.b64decode": base64.b64decode,
    "base64.urlsafe_b64decode": base64.urlsafe_b64decode,
    "base64.b32decode": base64.b32decode,
    "base64.b16decode": base64.b16decode,
    "base64.a85decode": base64.a85decode,
    "base64.b85decode": base64.b85decode,
    "binascii.unhexlify": binascii.unhexlify,
    "binascii.a2b_base64": binascii.a2b_base64,
    "bytes.fromhex": binascii.unhexlify,
}

Constant = str | bytes | int


class Folder:
    """Folds expressions.

    Args:
        constants: Names that are bound exactly once, to a constant expression.
        resolve: Turns a callee into dotted names.
    """

    def __init__(
        self, constants: Mapping[str, ast.expr], resolve: Callable[[ast.expr], frozenset[str]]
    ) -> None:
        self._constants = constants
        self._resolve = resolve

    def text(self, node: ast.expr | None) -> str | None:
        """The text that `node` certainly is, else None."""
        value = self._fold(node, 0) if node is not None else None
        if isinstance(value, bytes):
            return value.decode("utf-8", "replace")
        return value if isinstance(value, str) else None

    def _fold(self, node: ast.expr, depth: int) -> Constant | None:
        if depth > MAX_DEPTH:
            return None
        value = self._fold_node(node, depth + 1)
        return None if isinstance(value, str | bytes) and len(value) > MAX_LENGTH else value

    def _fold_node(self, node: ast.expr, depth: int) -> Constant | None:
        match node:
            case ast.Constant(value=str() | bytes() | int() as value):
                return value
            case ast.Name(id=name) if name in self._constants:
                return self._fold(self._constants[name], depth)
            case ast.JoinedStr(values=values):
                return self._join("", list(values), depth)
            case ast.FormattedValue(value=value, format_spec=None):
                return self._fold(value, depth)
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return self._join_pair(self._fold(left, depth), self._fold(right, depth))
            case ast.Subscript(value=value, slice=ast.Slice() as part):
                return self._slice(self._fold(value, depth), part, depth)
            case ast.Call():
                return self._call(node, depth)
        return None

    def _join_pair(self, left: Constant | None, right: Constant | None) -> Constant | None:
        if isinstance(left, str) and isinstance(right, str):
            return left + right
        return left + right if isinstance(left, bytes) and isinstance(right, bytes) else None

    def _join(self, separator: str, parts: list[ast.expr], depth: int) -> str | None:
        folded = [self._fold(part, depth) for part in parts[:1000]]
        texts = [str(part) for part in folded if isinstance(part, str | int)]
        return separator.join(texts) if len(texts) == len(parts) else None

    def _slice(self, value: Constant | None, part: ast.Slice, depth: int) -> Constant | None:
        if not isinstance(value, str | bytes):
            return None
        bounds: list[int | None] = []
        for bound in (part.lower, part.upper, part.step):
            number = self._number(bound, depth) if bound is not None else None
            if bound is not None and number is None:
                return None
            bounds.append(number)
        return None if bounds[2] == 0 else value[slice(*bounds)]

    def _number(self, node: ast.expr, depth: int) -> int | None:
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            number = self._number(node.operand, depth)
            return None if number is None else -number
        value = self._fold(node, depth)
        return value if isinstance(value, int) else None

    def _call(self, node: ast.Call, depth: int) -> Constant | None:
        if isinstance(node.func, ast.Attribute):
            value = self._method(node.func, node.args, depth)
            if value is not None:
                return value
        names = self._resolve(node.func)
        if not node.args:
            return None
        argument = self._fold(node.args[0], depth)
        if "builtins.chr" in names and isinstance(argument, int) and 0 <= argument < 0x110000:
            return chr(argument)
        if "builtins.str" in names or "builtins.bytes" in names:
            return argument
        if "codecs.decode" in names and isinstance(argument, str | bytes):
            return self._codec(argument, self.text(node.args[1]) if len(node.args) > 1 else None)
        return self._decode(names, argument)

    def _method(self, function: ast.Attribute, arguments: list[ast.expr], depth: int) -> Constant | None:
        if function.attr == "join" and len(arguments) == 1 and isinstance(arguments[0], ast.List | ast.Tuple):
            separator = self._fold(function.value, depth)
            return self._join(separator, arguments[0].elts, depth) if isinstance(separator, str) else None
        if function.attr == "fromhex" and len(arguments) == 1:
            return self._decode(frozenset({"bytes.fromhex"}), self._fold(arguments[0], depth))
        value = self._fold(function.value, depth) if function.attr in _PLAIN_METHODS else None
        if isinstance(value, str | bytes):
            return self._plain(function.attr, value, arguments, depth)
        return None

    def _plain(self, name: str, value: str | bytes, arguments: list[ast.expr], depth: int) -> Constant | None:
        if name in {"encode", "decode"}:
            return value.encode() if isinstance(value, str) else value.decode("utf-8", "replace")
        if name in {"lower", "upper", "strip", "swapcase"}:
            changed: str | bytes = getattr(value, name)()
            return changed
        parts = [self._fold(argument, depth) for argument in arguments]
        if name == "replace" and isinstance(value, str) and len(parts) == 2:
            old, new = parts
            return value.replace(old, new) if isinstance(old, str) and isinstance(new, str) and old else None
        return None

    def _decode(self, names: frozenset[str], argument: Constant | None) -> bytes | None:
        decoder = next((_DECODERS[name] for name in names if name in _DECODERS), None)
        if decoder is None or not isinstance(argument, str | bytes):
            return None
        try:
            return decoder(argument.encode() if isinstance(argument, str) else argument)
        except ValueError:  # no valid encoding: the program would fail there too
            return None

    def _codec(self, argument: str | bytes, codec: str | None) -> Constant | None:
        if codec in {"rot13", "rot_13"} and isinstance(argument, str):
            return argument.translate(_ROT13)
        if codec in {"hex", "base64"}:
            name = "binascii.unhexlify" if codec == "hex" else "base64.b64decode"
            return self._decode(frozenset({name}), argument)
        return None


_PLAIN_METHODS = frozenset({"encode", "decode", "lower", "upper", "strip", "swapcase", "replace"})
_LOWER = "abcdefghijklmnopqrstuvwxyz"
_ROT13 = str.maketrans(
    _LOWER + _LOWER.upper(), _LOWER[13:] + _LOWER[:13] + (_LOWER[13:] + _LOWER[:13]).upper()
)
