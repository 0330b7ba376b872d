"""Commands, results and events as JSON objects, read strictly: either side may be hostile to the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from envcli_sdk.commands import (
    Changes,
    Command,
    CommandResult,
    CustomCommand,
    Direction,
    EnvironmentScan,
    EnvironmentSync,
    EnvironmentValidation,
    Event,
    Finding,
    Fix,
    Result,
    ScanResult,
    Severity,
    SyncResult,
    Usage,
    ValidationResult,
    Var,
)
from envcli_sdk.errors import WireError
from envcli_sdk.secret import Secret

MAX_ITEMS = 20_000
_T = TypeVar("_T")


def command_to_wire(command: Command) -> dict[str, Any]:
    """Write a command as a JSON object with a ``kind``."""
    match command:
        case EnvironmentScan():
            return {"kind": "scan", "paths": list(command.paths)}
        case EnvironmentValidation():
            found = [{"name": v.name, "value": v.value, "line": v.line} for v in command.variables]
            return {
                "kind": "validation",
                "environment": command.environment,
                "variables": found,
                "rules": list(command.rules),
            }
        case EnvironmentSync():
            return {
                "kind": "sync",
                "direction": command.direction.value,
                "remote": command.remote,
                "changes": _changes_to_wire(command.changes),
                "dry_run": command.dry_run,
            }
        case CustomCommand():
            return {
                "kind": "custom",
                "name": command.name,
                "arguments": list(command.arguments),
                "of": command.kind,
                "dry_run": command.dry_run,
            }


def command_from_wire(raw: object) -> Command:
    """Read a command.

    Raises:
        WireError: it is not of the agreed shape.
    """
    table = _table(raw, "command")
    kind = _text(table, "kind")
    if kind == "scan":
        return EnvironmentScan(_texts(table, "paths"))
    if kind == "validation":
        environment = _text(table, "environment")
        variables = _each(table, "variables", lambda item: _variable(item, environment))
        return EnvironmentValidation(environment, variables, _texts(table, "rules"))
    if kind == "sync":
        direction = _member(table, "direction", Direction)
        changes = _changes_from_wire(table.get("changes"))
        return EnvironmentSync(direction, _text(table, "remote"), changes, _flag(table, "dry_run"))
    if kind == "custom":
        return CustomCommand(
            _text(table, "name"), _texts(table, "arguments"), _text(table, "of"), _flag(table, "dry_run")
        )
    raise WireError("command is of an unknown kind")


def result_to_wire(result: Result) -> dict[str, Any]:
    """Write a result as a JSON object with a ``kind``.

    Raises:
        WireError: the plugin returned something else.
    """
    match result:
        case ScanResult():
            return {"kind": "scan", "usages": [[u.name, u.path, u.line] for u in result.usages]}
        case ValidationResult():
            return {"kind": "validation", "findings": [_finding_to_wire(item) for item in result.findings]}
        case SyncResult():
            return {
                "kind": "sync",
                "variables": _secrets_to_wire(result.variables),
                "changed": list(result.changed),
            }
        case CommandResult():
            return {
                "kind": "custom",
                "output": result.output,
                "exit_code": result.exit_code,
                "data": result.data,
            }
    raise WireError(f"a plugin returned {type(result).__name__}, which is no result")


def result_from_wire(raw: object, command: Command) -> Result:
    """Read the result of ``command``.

    Raises:
        WireError: it is not of the agreed shape, or answers another kind of command.
    """
    table = _table(raw, "result")
    kind = _text(table, "kind")
    if kind != command_to_wire(command)["kind"]:
        raise WireError("the result answers another kind of command")
    if kind == "scan":
        return ScanResult(_each(table, "usages", _usage))
    if kind == "validation":
        return ValidationResult(_each(table, "findings", _finding_from_wire))
    if kind == "sync":
        return SyncResult(_secrets_from_wire(table.get("variables", {})), _texts(table, "changed"))
    code = _number(table, "exit_code")
    if not 0 <= code <= 255:
        raise WireError("exit_code is not between 0 and 255")
    return CommandResult(_text(table, "output"), code, table.get("data"))


def event_to_wire(event: Event) -> dict[str, Any]:
    """Write an event."""
    return {"name": event.name, "data": dict(event.data)}


def event_from_wire(raw: object) -> Event:
    """Read an event.

    Raises:
        WireError: it is not of the agreed shape.
    """
    table = _table(raw, "event")
    return Event(_text(table, "name"), _table(table.get("data", {}), "event data"))


def _changes_to_wire(changes: Changes) -> dict[str, Any]:
    return {"set": _secrets_to_wire(changes.set), "delete": list(changes.delete)}


def _changes_from_wire(raw: object) -> Changes:
    table = _table(raw, "changes")
    return Changes(_secrets_from_wire(table.get("set", {})), _texts(table, "delete"))


def _secrets_to_wire(secrets: Mapping[str, Secret]) -> dict[str, Any]:
    if not all(isinstance(secret, Secret) for secret in secrets.values()):
        raise WireError("variables must be a mapping of names to Secret")
    return {name: [secret.value, secret.version] for name, secret in secrets.items()}


def _secrets_from_wire(raw: object) -> dict[str, Secret]:
    table = _table(raw, "variables")
    if len(table) > MAX_ITEMS:
        raise WireError(f"more than {MAX_ITEMS} variables")
    return {name: _secret(value) for name, value in table.items()}


def _secret(raw: object) -> Secret:
    if (
        isinstance(raw, list)
        and len(raw) == 2
        and isinstance(raw[0], str)
        and isinstance(raw[1], (str, type(None)))
    ):
        return Secret(raw[0], raw[1])
    raise WireError("a secret is not of the agreed shape")


def _finding_to_wire(finding: Finding) -> dict[str, Any]:
    return {
        "message": finding.message,
        "rule": finding.rule,
        "variable": finding.variable,
        "severity": finding.severity.value,
        "fix": None if finding.fix is None else _fix_to_wire(finding.fix),
    }


def _fix_to_wire(fix: Fix) -> dict[str, Any]:
    value = None if fix.value is None else [fix.value.value, fix.value.version]
    return {"value": value, "description": fix.description}


def _finding_from_wire(raw: object) -> Finding:
    table = _table(raw, "finding")
    fix = None
    if table.get("fix") is not None:
        inner = _table(table["fix"], "fix")
        value = None if inner.get("value") is None else _secret(inner["value"])
        fix = Fix(value, _text(inner, "description"))
    severity = _member(table, "severity", Severity)
    return Finding(_text(table, "message"), _text(table, "rule"), _text(table, "variable"), severity, fix)


def _variable(raw: object, environment: str) -> Var:
    table = _table(raw, "variable")
    line = table.get("line")
    if line is not None and type(line) is not int:
        raise WireError("line of a variable is no number")
    return Var(_text(table, "name"), _text(table, "value"), environment, line)


def _usage(raw: object) -> Usage:
    if isinstance(raw, list) and len(raw) == 3:
        name, path, line = raw
        if isinstance(name, str) and isinstance(path, str) and type(line) is int:
            return Usage(name, path, line)
    raise WireError("a usage is not of the agreed shape")


def _table(raw: object, what: str) -> dict[str, Any]:
    if not isinstance(raw, dict) or not all(isinstance(key, str) for key in raw):
        raise WireError(f"{what} is no JSON object")
    return raw


def _text(table: Mapping[str, Any], key: str) -> str:
    value = table.get(key)
    if not isinstance(value, str):
        raise WireError(f"{key} is no text")
    return value


def _texts(table: Mapping[str, Any], key: str) -> tuple[str, ...]:
    value = table.get(key, [])
    if (
        not isinstance(value, list)
        or len(value) > MAX_ITEMS
        or not all(isinstance(item, str) for item in value)
    ):
        raise WireError(f"{key} is no list of texts")
    return tuple(value)


def _flag(table: Mapping[str, Any], key: str) -> bool:
    value = table.get(key, False)
    if not isinstance(value, bool):
        raise WireError(f"{key} is neither true nor false")
    return value


def _number(table: Mapping[str, Any], key: str) -> int:
    value = table.get(key)
    if type(value) is not int:
        raise WireError(f"{key} is no whole number")
    return value


def _member(table: Mapping[str, Any], key: str, choices: Callable[[str], _T]) -> _T:
    try:
        return choices(_text(table, key))
    except ValueError:
        raise WireError(f"{key} is unknown") from None


def _each(table: Mapping[str, Any], key: str, parse: Callable[[object], _T]) -> tuple[_T, ...]:
    value = table.get(key, [])
    if not isinstance(value, list) or len(value) > MAX_ITEMS:
        raise WireError(f"{key} is no list of at most {MAX_ITEMS} entries")
    return tuple(parse(item) for item in value)
