"""Marks for functions and methods: rules, commands, workflow steps, event handlers and reports."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from envcli_sdk.commands import Severity, Var
from envcli_sdk.errors import SdkError
from envcli_sdk.names import EVENT, IDENTIFIER

MARK = "__envcli_mark__"
_Function = TypeVar("_Function", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class RuleMark:
    """A rule: called with each variable whose name matches; yields or returns messages or findings."""

    id: str
    match: re.Pattern[str]
    severity: Severity
    fix: Callable[[Var], str | None] | None


@dataclass(frozen=True, slots=True)
class CommandMark:
    """A command: called with its words; returns text, a `CommandResult` or None."""

    name: str


@dataclass(frozen=True, slots=True)
class StepMark:
    """One step of a workflow, in the order of definition; ``undo`` is called when a later step fails."""

    workflow: str
    undo: Callable[..., Any] | None


@dataclass(frozen=True, slots=True)
class ReportMark:
    """A report: returns text, a `CommandResult` or a JSON value."""

    name: str


@dataclass(frozen=True, slots=True)
class EventMark:
    """Handlers of one event, for example ``sync.completed``, in any version or in the one named."""

    name: str


def rule(
    id: str,  # noqa: A002 - the field's usual word
    *,
    match: str = "",
    severity: Severity = Severity.warning,
    fix: Callable[[Var], str | None] | None = None,
) -> Callable[[_Function], _Function]:
    """Mark a validation rule.

    Args:
        id: as the manifest contributes it.
        match: regular expression searched in the variable's name; empty means every variable.
        severity: of plain messages that the rule yields.
        fix: given the variable, returns the repaired value, or None where it cannot.
    """
    _verify_name(id)
    return _marker(RuleMark(id, re.compile(match), severity, fix))


def command(name: str) -> Callable[[_Function], _Function]:
    """Mark a command; its signature is its command line.

    A parameter without a default is a word, one with a default may also be written ``--name VALUE``, one behind
    ``*`` only so. ``bool`` makes a switch, ``int`` and ``float`` are converted, ``*words`` alone takes every word
    as it is. ``envcli NAME --help`` prints the signature and the docstring.
    """
    _verify_name(name)
    return _marker(CommandMark(name))


def step(workflow: str, *, undo: Callable[..., Any] | None = None) -> Callable[[_Function], _Function]:
    """Mark a step of a workflow; it takes ``dry_run`` as keyword.

    ``undo`` reverts it when a later step fails.
    """
    _verify_name(workflow)
    return _marker(StepMark(workflow, undo))


def report(name: str) -> Callable[[_Function], _Function]:
    """Mark a report."""
    _verify_name(name)
    return _marker(ReportMark(name))


def on(event: str) -> Callable[[_Function], _Function]:
    """Mark a handler for ``subject.verb`` or ``subject.verb/1``."""
    if not EVENT.fullmatch(event if "/" in event else f"{event}/1"):
        raise SdkError(f"{event!r} is no event; write it as subject.verb or subject.verb/1")
    return _marker(EventMark(event))


def _marker(mark: object) -> Callable[[_Function], _Function]:
    def apply(function: _Function) -> _Function:
        setattr(function, MARK, mark)
        return function

    return apply


def _verify_name(name: str) -> None:
    if not IDENTIFIER.fullmatch(name):
        raise SdkError(f"{name!r} must be lower-case words joined by '-'")
