"""Which names of a module stand for what: imports, aliases and simple assignments, over all its scopes at
once.

Scopes are merged on purpose: a name that means ``os`` anywhere means it everywhere, so shadowing hides
nothing.
"""

from __future__ import annotations

import ast
import builtins
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

from envcli_vetting.capability.folding import Folder
from envcli_vetting.capability.table import CapabilityTable

MAX_DEPTH = 60
ROUNDS = 4
MAX_ORIGINS = 200
_IMPORTERS = frozenset({"builtins.__import__", "importlib.import_module", "importlib.__import__"})
_PATHS = ("pathlib.", "importlib.resources")
_BUILTINS = frozenset(dir(builtins))


class TooComplexError(ValueError):
    """An expression nests deeper than code written by people does."""


class Bindings:
    """The names of one module, and what expressions in it stand for.

    Args:
        nodes: Every node of the module.
        module: Dotted name of the module, for relative imports.
        is_package: Whether the module is an ``__init__``.
        table: The capability table, for what calls give back.
    """

    def __init__(
        self, nodes: Iterable[ast.AST], module: str, *, is_package: bool, table: CapabilityTable
    ) -> None:
        self.imports: list[tuple[str, int]] = []
        self.names: dict[str, set[str]] = defaultdict(set)
        self.exports: Mapping[str, frozenset[str]] = {}
        self._stars: set[str] = set()
        self._assigned: list[tuple[str, ast.expr]] = []
        self._defaults: list[tuple[str, ast.expr]] = []  # followed like assignments, but never constant
        self._package = module if is_package else module.rpartition(".")[0]
        self._table = table
        bound: Counter[str] = Counter()
        for node in nodes:
            self._collect(node)
            bound.update(_bound_names(node))
        constants = {name: value for name, value in self._assigned if bound[name] == 1}
        self.folder = Folder(constants, self.resolve)

    def settle(self, exports: Mapping[str, frozenset[str]]) -> None:
        """Follow assignments until nothing new is learnt, knowing what the plugin's other modules export."""
        self.exports = exports
        for _ in range(ROUNDS):
            before = sum(len(origins) for origins in self.names.values())
            for name, value in (*self._assigned, *self._defaults):
                self.names[name] |= self.resolve(value)
            if before == sum(len(origins) for origins in self.names.values()):
                return

    def resolve(self, node: ast.expr, depth: int = 0) -> frozenset[str]:
        """Every dotted name that `node` may stand for; empty when nothing is known.

        Raises:
            TooComplexError: The expression nests too deeply.
        """
        if depth > MAX_DEPTH:
            raise TooComplexError("an expression nests too deeply")
        return frozenset(one for name in self._resolve(node, depth + 1) for one in self._canonical(name))

    def _resolve(self, node: ast.expr, depth: int) -> set[str]:
        match node:
            case ast.Name(id=name):
                return self._of_name(name)
            case ast.Attribute(value=value, attr=attribute):
                found = {f"{origin}.{attribute}" for origin in self.resolve(value, depth)}
                return found | self.names.get(dotted(node) or "", set())
            case ast.Call():
                return self._of_call(node, depth)
            case ast.Subscript(value=value, slice=key):
                return self._of_item(self.resolve(value, depth), self.folder.text(key))
            case ast.BinOp(left=left, op=ast.Div()):
                return {name for name in self.resolve(left, depth) if name.startswith(_PATHS)}
            case ast.IfExp(body=first, orelse=second):
                return {*self.resolve(first, depth), *self.resolve(second, depth)}
            case ast.BoolOp(values=values):
                return {name for value in values for name in self.resolve(value, depth)}
            case ast.NamedExpr(value=value) | ast.Await(value=value) | ast.Starred(value=value):
                return set(self.resolve(value, depth))
        return set()

    def _of_name(self, name: str) -> set[str]:
        found = set(self.names.get(name, ()))
        if name in _BUILTINS or name in {"__builtins__", "__loader__"}:
            found.add("builtins" if name == "__builtins__" else f"builtins.{name}")
        found |= {f"{module}.{name}" for module in self._stars if name not in self.names}
        return found

    def _of_call(self, node: ast.Call, depth: int) -> set[str]:
        callee = self.resolve(node.func, depth)
        first = node.args[0] if node.args else None
        if "builtins.getattr" in callee and len(node.args) > 1 and first is not None:
            name = self.folder.text(node.args[1])
            return {f"{origin}.{name}" for origin in self.resolve(first, depth)} if name else set()
        if callee & _IMPORTERS and first is not None:
            module = self.folder.text(first)
            return {module} if module else set()
        if "builtins.vars" in callee and first is not None:
            return {f"{origin}.__dict__" for origin in self.resolve(first, depth)}
        return {self._table.returns[origin] for origin in callee if origin in self._table.returns}

    def _of_item(self, containers: frozenset[str], key: str | None) -> set[str]:
        found: set[str] = set()
        for container in containers if key else ():
            if container == "sys.modules":
                found.add(str(key))
            elif container.endswith(".__dict__"):
                found.add(f"{container.removesuffix('.__dict__')}.{key}")
        return found

    def _canonical(self, name: str) -> set[str]:
        """Replace the plugin's own re-exports by all that they may stand for."""
        found: set[str] = set()
        waiting = [name]
        while waiting and len(found) < MAX_ORIGINS:
            one = waiting.pop()
            head, tail = one, ""
            while head and head not in self.exports:
                head, _, last = head.rpartition(".")
                tail = f".{last}{tail}"
            if one not in found:
                found.add(one)
                waiting += [origin + tail for origin in self.exports.get(head, ())]
        return found

    def _collect(self, node: ast.AST) -> None:
        match node:
            case ast.Import(names=aliases):
                for alias in aliases:
                    self.imports.append((alias.name, node.lineno))
                    bound = alias.asname or alias.name.partition(".")[0]
                    self.names[bound].add(alias.name if alias.asname else bound)
            case ast.ImportFrom():
                self._collect_from(node)
            case ast.Assign(targets=targets, value=value):
                for target in targets:
                    self._bind(target, value)
            case ast.AnnAssign(target=target, value=ast.expr() as value):
                self._bind(target, value)
            case ast.NamedExpr(target=target, value=value):
                self._bind(target, value)
            case ast.withitem(optional_vars=ast.expr() as target, context_expr=value):
                self._bind(target, value)
            case ast.arguments():
                self._bind_defaults(node)

    def _collect_from(self, node: ast.ImportFrom) -> None:
        module = node.module or ""
        if node.level:
            base = self._package.split(".")
            kept = base[: len(base) - node.level + 1]
            module = ".".join([*kept, *([module] if module else [])])
        for alias in node.names:
            if not node.level:
                self.imports.append((f"{module}.{alias.name}", node.lineno))
            if alias.name == "*":
                self._stars.add(module)
            else:
                self.names[alias.asname or alias.name].add(f"{module}.{alias.name}")

    def _bind(self, target: ast.expr, value: ast.expr) -> None:
        if isinstance(target, ast.Tuple | ast.List) and isinstance(value, ast.Tuple | ast.List):
            for one, its in zip(target.elts, value.elts, strict=False):
                self._bind(one, its)
        elif (name := dotted(target)) is not None:
            self._assigned.append((name, value))

    def _bind_defaults(self, node: ast.arguments) -> None:
        positional = [*node.posonlyargs, *node.args]
        for argument, default in zip(reversed(positional), reversed(node.defaults), strict=False):
            self._defaults.append((argument.arg, default))
        for argument, optional in zip(node.kwonlyargs, node.kw_defaults, strict=True):
            if optional is not None:
                self._defaults.append((argument.arg, optional))


def _bound_names(node: ast.AST) -> list[str]:
    """The plain names that this one node binds, by whatever means; such a name is only constant if bound
    once.
    """
    match node:
        case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
            return [name]
        case ast.arg(arg=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
            return [name]
        case ast.ClassDef(name=name) | ast.MatchAs(name=str() as name) | ast.MatchStar(name=str() as name):
            return [name]
        case ast.ExceptHandler(name=str() as name) | ast.MatchMapping(rest=str() as name):
            return [name]
        case ast.Global(names=names) | ast.Nonlocal(names=names):
            return [*names, *names]
        case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
            return [alias.asname or alias.name.partition(".")[0] for alias in aliases]
    return []


def dotted(node: ast.expr) -> str | None:
    """The text of a name or a chain of attributes on a name, else None."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name) or len(parts) > MAX_DEPTH:
        return None
    return ".".join([node.id, *reversed(parts)])
