"""Finds marked functions of a plugin and calls the right ones."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Iterable, Iterator
from dataclasses import replace
from types import ModuleType
from typing import Any

from envcli_sdk.commands import (
    CommandResult,
    CustomCommand,
    EnvironmentValidation,
    Event,
    Finding,
    Fix,
    ValidationResult,
    Var,
)
from envcli_sdk.decorators import MARK, CommandMark, EventMark, ReportMark, RuleMark, StepMark
from envcli_sdk.driving import settle
from envcli_sdk.errors import PluginError, UnsupportedCommandError
from envcli_sdk.plugin import Plugin
from envcli_sdk.secret import Secret

_Marked = tuple[Any, Callable[..., Any]]


class FunctionPlugin(Plugin):
    """A plugin made of marked functions; see `collect`."""

    def __init__(self, functions: Iterable[Callable[..., Any]]) -> None:
        self.functions = tuple(functions)

    @property
    def module(self) -> str:
        """Name of the module that defines the first function."""
        return self.functions[0].__module__ if self.functions else type(self).__module__


def collect(*functions: Callable[..., Any]) -> FunctionPlugin:
    """Make a plugin of marked functions: ``plugin = collect(url_credentials, no_localhost)``."""
    return FunctionPlugin(functions)


def collect_module(module: ModuleType) -> FunctionPlugin:
    """Make a plugin of all marked functions that a module defines."""
    found = (value for value in vars(module).values() if callable(value) and hasattr(value, MARK))
    return FunctionPlugin(found)


async def run_rules(plugin: Plugin, command: EnvironmentValidation) -> ValidationResult:
    """Run every rule of the plugin, or those that are named, over the variables.

    Raises:
        UnsupportedCommandError: the plugin has no rules.
    """
    rules = [(mark, function) for mark, function in _marked(plugin) if isinstance(mark, RuleMark)]
    if not rules:
        raise UnsupportedCommandError("the plugin has no rules")
    findings: list[Finding] = []
    for mark, function in rules:
        if not command.rules or mark.id in command.rules:
            for variable in command.variables:
                if mark.match.search(variable.name):
                    findings.extend(
                        [_finding(item, mark, variable) for item in await _items(function(variable))]
                    )
    return ValidationResult(tuple(findings))


async def run_command(plugin: Plugin, command: CustomCommand) -> CommandResult:
    """Run a contributed command, report or workflow.

    Raises:
        UnsupportedCommandError: the plugin has none of that name.
    """
    if command.kind == "workflow":
        return await _run_workflow(plugin, command)
    wanted = ReportMark if command.kind == "report" else CommandMark
    for mark, function in _marked(plugin):
        if isinstance(mark, wanted) and mark.name == command.name:
            return await _run_function(command, function)
    raise UnsupportedCommandError(f"the plugin has no {command.kind} {command.name!r}")


async def _run_function(command: CustomCommand, function: Callable[..., Any]) -> CommandResult:
    from envcli_sdk.usage import HELP, bind, describe

    if command.arguments and command.arguments[0] in HELP:
        return CommandResult(describe(command.name, function))
    positional, named = bind(command.name, function, command.arguments)
    return _command_result(await settle(function(*positional, **named)))


async def dispatch_event(plugin: Plugin, event: Event) -> None:
    """Call every handler of the event."""
    subject = event.name.partition("/")[0]
    for mark, function in _marked(plugin):
        if isinstance(mark, EventMark) and mark.name in {subject, event.name}:
            await settle(function(event))


async def _run_workflow(plugin: Plugin, command: CustomCommand) -> CommandResult:
    steps = [
        (mark, function)
        for mark, function in _marked(plugin)
        if isinstance(mark, StepMark) and mark.workflow == command.name
    ]
    if not steps:
        raise UnsupportedCommandError(f"the plugin has no workflow {command.name!r}")
    from envcli_sdk.usage import HELP, bind, usage

    def take(*, dry_run: bool = False) -> bool:
        """Stand for the workflow's own command line."""
        return dry_run

    if command.arguments and command.arguments[0] in HELP:
        names = "\n".join(f"  {function.__name__}" for _, function in steps)
        return CommandResult(f"{usage(command.name, take)}\n\nIts steps:\n{names}")
    _, named = bind(command.name, take, command.arguments)
    dry_run = command.dry_run or take(**named)
    lines: list[str] = []
    done: list[StepMark] = []
    for mark, function in steps:
        try:
            answer = await settle(function(dry_run=dry_run))
        except Exception as error:
            if not dry_run:
                await _undo(plugin, done)
            raise PluginError(
                f"step {function.__name__} failed: {error}", tip="Earlier steps were undone"
            ) from error
        done.append(mark)
        lines.append(f"{function.__name__}: {answer or 'done'}")
    return CommandResult("\n".join(lines))


async def _undo(plugin: Plugin, done: list[StepMark]) -> None:
    for mark in reversed(done):
        if mark.undo is not None:
            takes_plugin = not isinstance(plugin, FunctionPlugin)
            await settle(mark.undo(plugin) if takes_plugin else mark.undo())


def _marked(plugin: Plugin) -> Iterator[_Marked]:
    if isinstance(plugin, FunctionPlugin):
        for function in plugin.functions:
            if hasattr(function, MARK):
                yield getattr(function, MARK), function
        return
    seen: set[str] = set()
    for base in reversed(type(plugin).__mro__):
        for name, value in vars(base).items():
            if hasattr(value, MARK) and name not in seen:
                seen.add(name)
                yield getattr(value, MARK), getattr(plugin, name)


async def _items(answer: Any) -> list[Any]:
    """A rule may return nothing, one message, a list, or be a generator of either kind."""
    if isinstance(answer, AsyncIterable):
        return await settle(_listed(answer))
    answer = await settle(answer)
    if answer is None:
        return []
    if isinstance(answer, (str, Finding)):
        return [answer]
    return list(answer)


async def _listed(items: AsyncIterable[Any]) -> list[Any]:
    return [item async for item in items]


def _finding(item: Any, mark: RuleMark, variable: Var) -> Finding:
    finding = item if isinstance(item, Finding) else Finding(str(item), severity=mark.severity)
    fix = finding.fix
    if fix is None and mark.fix is not None:
        repaired = mark.fix(variable)
        fix = None if repaired is None else Fix(Secret(repaired), f"rewrite {variable.name}")
    return replace(finding, rule=mark.id, variable=finding.variable or variable.name, fix=fix)


def _command_result(answer: Any) -> CommandResult:
    if isinstance(answer, CommandResult):
        return answer
    if answer is None or isinstance(answer, str):
        return CommandResult(answer or "")
    return CommandResult(data=answer)
