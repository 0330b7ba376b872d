"""Reading a plugin's source: every use of a permission, with file and line."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from envcli_vetting.capability.bindings import Bindings, TooComplexError, dotted
from envcli_vetting.capability.table import DYNAMIC, CapabilityTable, load_table
from envcli_vetting.observation import Confidence

MAX_SOURCE_BYTES = 1 << 20
MAX_NODES = 300_000
MAX_NESTED_SOURCE = 2

_EVALUATORS = frozenset({"builtins.eval", "builtins.exec", "builtins.compile"})
_IMPORTERS = frozenset({"builtins.__import__", "importlib.import_module", "importlib.__import__"})
_ATTRIBUTE_ACCESS = frozenset({"builtins.getattr", "builtins.setattr", "builtins.delattr", "builtins.vars"})
_API = re.compile(r"(?:^|\.)api\.(\w+(?:\.\w+)?)")
_SECRET_PLACE = re.compile(
    r"(?:^|[/\\~])\.(?:ssh|aws|gnupg|kube|docker|netrc|pypirc|git-credentials|config/gcloud|mozilla)(?:[/\\]|$)"
    r"|^/(?:etc/shadow|proc/(?:self|\d+)/(?:environ|mem))"
)
_METADATA_ADDRESS = re.compile(
    r"169\.254\.169\.254|169\.254\.170\.2|metadata\.google\.internal|fd00:ec2::254"
)


class UnreadableError(Exception):
    """A source file cannot be judged: no valid Python, or too large or too deeply nested to read."""


@dataclass(frozen=True, slots=True)
class Use:
    """One use of a permission (or ``dynamic-code``): what was written, where, and how sure that is."""

    permission: str
    path: str
    line: int
    name: str
    confidence: Confidence = Confidence.HIGH
    is_mediated: bool = False


@dataclass(frozen=True, slots=True)
class SuspiciousText:
    """A text constant that names a place of secrets."""

    rule: str
    path: str
    line: int
    text: str


@dataclass(frozen=True, slots=True)
class CodeFacts:
    """All that was seen in a plugin's source."""

    uses: tuple[Use, ...]
    texts: tuple[SuspiciousText, ...]
    unreadable: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class _Module:
    path: str
    nodes: tuple[ast.AST, ...]
    bindings: Bindings


def scan_sources(sources: Mapping[str, bytes]) -> CodeFacts:
    """Read every source file of a wheel.

    Args:
        sources: Member name → content.
    """
    table = load_table()
    modules, unreadable = [], []
    for path, content in sources.items():
        try:
            modules.append(_parse_module(path, content, table))
        except UnreadableError as problem:
            unreadable.append((path, str(problem)))
    exports = _exports(modules)
    uses: list[Use] = []
    texts: list[SuspiciousText] = []
    for module in modules:
        try:
            module.bindings.settle(exports)
            uses += _Scanner(module, table).uses()
        except TooComplexError as problem:
            unreadable.append((module.path, str(problem)))
        texts += _suspicious_texts(module)
    return CodeFacts(tuple(dict.fromkeys(uses)), tuple(texts), tuple(unreadable))


def _parse_module(path: str, content: bytes, table: CapabilityTable) -> _Module:
    if len(content) > MAX_SOURCE_BYTES:
        raise UnreadableError(f"it has {len(content)} bytes, the limit is {MAX_SOURCE_BYTES}")
    nodes = _nodes(content)
    is_package = path.endswith("/__init__.py")
    name = path.removesuffix(".py").removesuffix(".pyw").removesuffix("/__init__").replace("/", ".")
    return _Module(path, nodes, Bindings(nodes, name, is_package=is_package, table=table))


def _nodes(source: bytes | str) -> tuple[ast.AST, ...]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the plugin's own warnings are no concern of ours
            tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as broken:
        raise UnreadableError(f"it is no Python that can be read: {type(broken).__name__}") from broken
    nodes: list[ast.AST] = []
    for node in ast.walk(tree):
        nodes.append(node)
        if len(nodes) > MAX_NODES:
            raise UnreadableError(f"it has more than {MAX_NODES} syntax nodes")
    return tuple(nodes)


def _exports(modules: list[_Module]) -> dict[str, frozenset[str]]:
    """What each module of the plugin offers under which name, for imports between them."""
    found: dict[str, frozenset[str]] = {}
    for module in modules:
        name = module.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        module.bindings.settle({})
        for bound, origins in module.bindings.names.items():
            if origins and "." not in bound and f"{name}.{bound}" not in origins:
                found[f"{name}.{bound}"] = frozenset(origins)
    return found


class _Scanner:
    """Walks one module, outer expressions before inner ones, so that ``os`` in ``os.path`` is not told
    twice.
    """

    def __init__(self, module: _Module, table: CapabilityTable, depth: int = 0) -> None:
        self._module = module
        self._bindings = module.bindings
        self._table = table
        self._depth = depth
        self._consumed: set[int] = set()

    def uses(self) -> Iterator[Use]:
        """Every use in the module."""
        for module, line in self._bindings.imports:
            for permission in self._table.of_import(module):
                yield self._use(permission, line, f"import {module}")
        for node in self._module.nodes:
            if isinstance(node, ast.Call):
                yield from self._call(node)
            elif isinstance(node, ast.Subscript):
                yield from self._item(node)
            elif isinstance(node, ast.Attribute | ast.Name) and isinstance(node.ctx, ast.Load):
                yield from self._reference(node)
            elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
                self._consume_alias(node.value)

    def _use(self, permission: str, line: int, name: str, **more: Confidence | bool) -> Use:
        return Use(permission, self._module.path, line, name[:120], **more)  # type: ignore[arg-type]

    def _reference(self, node: ast.Attribute | ast.Name) -> Iterator[Use]:
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Attribute | ast.Name):
            self._consumed.add(id(node.value))
        if isinstance(node, ast.Attribute) and node.attr in self._table.dynamic_attributes:
            yield self._use(DYNAMIC, node.lineno, node.attr)
        if id(node) in self._consumed:
            return
        origins = self._bindings.resolve(node)
        for origin in sorted(origins):
            for permission in self._table.of_use(origin):
                yield self._use(permission, node.lineno, origin)
            if origin in self._table.guarded_modules:
                yield self._use(DYNAMIC, node.lineno, f"{origin} handed on as a value")
        if isinstance(node, ast.Attribute) and not origins:
            yield from self._unresolved(node)

    def _unresolved(self, node: ast.Attribute) -> Iterator[Use]:
        text = dotted(node) or ""
        if area := _API.search(text):
            for permission in self._table.of_api(area[1]):
                yield self._use(permission, node.lineno, text, is_mediated=True)
            return
        for permission in self._table.methods.get(node.attr, ()):
            yield self._use(permission, node.lineno, f".{node.attr}", confidence=Confidence.MEDIUM)

    def _call(self, node: ast.Call) -> Iterator[Use]:
        callee = self._bindings.resolve(node.func)
        opened = sorted(name for name in callee if name in self._table.opens)
        if opened:
            self._consume_chain(node.func)
            for permission in self._open_mode(node, self._table.opens[opened[0]]):
                yield self._use(permission, node.lineno, opened[0])
        if callee & _EVALUATORS:
            yield from self._evaluated(node, min(callee & _EVALUATORS))
        if callee & _IMPORTERS:
            yield from self._imported(node)
        if callee & _ATTRIBUTE_ACCESS:
            yield from self._accessed(node, callee)
        if "builtins.getattr" in callee:
            for origin in sorted(self._bindings.resolve(node)):
                for permission in self._table.of_use(origin):
                    yield self._use(permission, node.lineno, origin)

    def _open_mode(self, node: ast.Call, position: int) -> tuple[str, ...]:
        given = next((word.value for word in node.keywords if word.arg == "mode"), None)
        if given is None and len(node.args) > position:
            given = node.args[position]
        if given is None and not any(word.arg is None for word in node.keywords):
            return ("file:read",)
        mode = self._bindings.folder.text(given)
        if mode is None or "+" in mode:
            return ("file:read", "file:write")
        return ("file:write",) if set(mode) & set("wax") else ("file:read",)

    def _evaluated(self, node: ast.Call, name: str) -> Iterator[Use]:
        source = self._bindings.folder.text(node.args[0]) if node.args else None
        if source is None or self._depth >= MAX_NESTED_SOURCE or len(source) > MAX_SOURCE_BYTES:
            return  # the reference to the evaluator itself already counts
        try:
            nodes = _nodes(source)
        except UnreadableError:
            return
        bindings = Bindings(nodes, "", is_package=False, table=self._table)
        bindings.settle({})
        inner = _Module(self._module.path, nodes, bindings)
        for use in _Scanner(inner, self._table, self._depth + 1).uses():
            yield self._use(use.permission, node.lineno, f"{use.name} inside {name}")

    def _imported(self, node: ast.Call) -> Iterator[Use]:
        module = self._bindings.folder.text(node.args[0]) if node.args else None
        if module is None:
            return
        self._consume_chain(node.func)
        for permission in self._table.of_import(module):
            yield self._use(permission, node.lineno, f"import {module}")

    def _accessed(self, node: ast.Call, callee: frozenset[str]) -> Iterator[Use]:
        first = node.args[0] if node.args else None
        if first is None:
            return
        guarded = self._bindings.resolve(first) & self._table.guarded_modules
        name = self._bindings.folder.text(node.args[1]) if len(node.args) > 1 else None
        if isinstance(first, ast.Name | ast.Attribute):
            self._consume_chain(first)
        if guarded and (name is None or "builtins.getattr" not in callee):
            yield self._use(DYNAMIC, node.lineno, f"{min(guarded)} reached by a computed name")

    def _item(self, node: ast.Subscript) -> Iterator[Use]:
        containers = self._bindings.resolve(node.value)
        if not isinstance(node.ctx, ast.Load) and "os.environ" in containers:
            self._consume_chain(node.value)  # sets a variable of the plugin's own process, which ends with it
        for origin in sorted(self._bindings.resolve(node)):
            self._consume_chain(node.value)
            for permission in self._table.of_use(origin):
                yield self._use(permission, node.lineno, origin)
        is_guarded = any(name.removesuffix(".__dict__") in self._table.guarded_modules for name in containers)
        if is_guarded and self._bindings.folder.text(node.slice) is None:
            yield self._use(DYNAMIC, node.lineno, "a module's namespace reached by a computed name")

    def _consume_alias(self, value: ast.expr) -> None:
        """``o = os`` is followed by `Bindings`; it gives nothing away by itself."""
        if isinstance(value, ast.Name):
            self._consumed.add(id(value))
        elif isinstance(value, ast.Tuple):
            self._consumed.update(id(one) for one in value.elts if isinstance(one, ast.Name))

    def _consume_chain(self, node: ast.expr) -> None:
        while isinstance(node, ast.Attribute):
            self._consumed.add(id(node))
            node = node.value
        self._consumed.add(id(node))


def _suspicious_texts(module: _Module) -> Iterator[SuspiciousText]:
    """Text constants that are used, docstrings aside, and name a place of secrets."""
    statements = {id(node.value) for node in module.nodes if isinstance(node, ast.Expr)}
    for node in module.nodes:
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str) or id(node) in statements:
            continue
        if len(node.value) < 300 and " " not in node.value and _SECRET_PLACE.search(node.value):
            yield SuspiciousText("secret-place", module.path, node.lineno, node.value)
        elif _METADATA_ADDRESS.search(node.value):
            yield SuspiciousText("metadata-address", module.path, node.lineno, node.value)
