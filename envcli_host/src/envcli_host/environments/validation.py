"""Built-in validation rules. Findings are the SDK's, so that plugins' rules and these read alike."""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping

from envcli_sdk.commands import Finding, Severity

from envcli_host.environments.grammar import Assignment, Document
from envcli_host.environments.project import Project
from envcli_host.environments.secrecy import is_secret

_PLACEHOLDER = re.compile(
    r"change[_-]?me|replace[_-]?(?:me|this)|your[_-].*|todo|fixme|x{3,}|<.*>|placeholder|example|secret|password|123456\d*",
    re.IGNORECASE,
)
_SHORTEST_SECRET = 16
_CUT_OFF = re.compile(r"[^\s#]#")


def validate(project: Project, environment: str) -> tuple[Finding, ...]:
    """Run every built-in rule on one environment.

    Raises:
        EnvironmentStoreError: its file, or one it inherits from, is malformed.
    """
    document, values = project.read(environment), project.values(environment, os.environ)
    patterns = project.config.secrets
    return (
        *_required(project.config.required, values),
        *_formats(project.config.formats, values),
        *_secrets({n: v for n, v in values.items() if is_secret(n, v, patterns)}),
        *_names(document),
        *(finding for rule in _DOCUMENT_RULES for finding in rule(document)),
    )


def _required(required: Iterable[str], values: dict[str, str]) -> Iterator[Finding]:
    for name in required:
        if not values.get(name):
            state = "empty" if name in values else "missing"
            yield Finding(f"{name} is required but {state}", "required", name, Severity.error)


def _formats(formats: Mapping[str, str], values: dict[str, str]) -> Iterator[Finding]:
    for name, pattern in formats.items():
        if name in values and re.fullmatch(pattern, values[name]) is None:
            yield Finding(f"{name} does not match the format {pattern!r}", "format", name, Severity.error)


def _secrets(secrets: dict[str, str]) -> Iterator[Finding]:
    for name, value in secrets.items():
        if not value:
            yield Finding(f"{name} is a secret but empty", "empty-secret", name)
        elif _PLACEHOLDER.fullmatch(value):
            yield Finding(f"{name} still holds a placeholder", "placeholder", name, Severity.error)
        elif len(value) < _SHORTEST_SECRET:
            yield Finding(
                f"{name} is a secret of fewer than {_SHORTEST_SECRET} characters", "short-secret", name
            )


def _names(document: Document) -> Iterator[Finding]:
    for assignment in document.assignments:
        if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", assignment.name) is None:
            yield Finding(
                f"line {assignment.line}: shells cannot read a variable called {assignment.name}",
                "portable-name",
                assignment.name,
            )


def _duplicates(document: Document) -> Iterator[Finding]:
    first: dict[str, int] = {}
    for assignment in document.assignments:
        if assignment.name in first:
            yield Finding(
                f"line {assignment.line}: {assignment.name} was set in line {first[assignment.name]} already; "
                "the last one counts",
                "duplicate",
                assignment.name,
            )
        first.setdefault(assignment.name, assignment.line)


def _cut_off(document: Document) -> Iterator[Finding]:
    for assignment in document.assignments:
        if not assignment.quote and _is_cut_off(document, assignment):
            yield Finding(
                f"line {assignment.line}: the value of {assignment.name} ends at '#'; quote it if that belongs to it",
                "comment-without-space",
                assignment.name,
            )


def _is_cut_off(document: Document, assignment: Assignment) -> bool:
    return _CUT_OFF.match(document.text, max(assignment.value_end - 1, assignment.value_start)) is not None


_DOCUMENT_RULES: tuple[Callable[[Document], Iterator[Finding]], ...] = (_duplicates, _cut_off)
