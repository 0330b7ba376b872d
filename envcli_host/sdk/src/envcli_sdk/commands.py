"""What the host asks of a plugin and what it gets back: plain, frozen, typed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeAlias

from envcli_sdk.secret import MASK, Secret


class Severity(StrEnum):
    """How bad a finding is; ``error`` makes validation fail."""

    info = "info"
    warning = "warning"
    error = "error"


@dataclass(frozen=True, slots=True)
class Var:
    """One variable of an environment, as a rule sees it.

    Attributes:
        name: of the variable.
        value: its value; masked in the repr.
        environment: where it stands.
        line: in its file, counted from 1, or None.
    """

    name: str
    value: str
    environment: str = ""
    line: int | None = None

    def __repr__(self) -> str:
        return f"Var({self.name!r}, {MASK!r}, {self.environment!r})"


@dataclass(frozen=True, slots=True)
class Fix:
    """How a finding can be repaired: the variable gets ``value``, or is removed where it is None."""

    value: Secret | None
    description: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a rule found. The message never holds a secret.

    Attributes:
        message: the variable and what is wrong with it.
        rule: id of the rule; `rule` fills it in.
        variable: name of the variable concerned, or "".
        severity: how bad it is.
        fix: an automatic repair, where there is one.
    """

    message: str
    rule: str = ""
    variable: str = ""
    severity: Severity = Severity.warning
    fix: Fix | None = None


@dataclass(frozen=True, slots=True)
class Changes:
    """What to change in an environment.

    Attributes:
        set: new or changed variables.
        delete: names to remove.
    """

    set: Mapping[str, Secret] = field(default_factory=dict)
    delete: tuple[str, ...] = ()


class Direction(StrEnum):
    """Which way a synchronisation goes, seen from the project."""

    pull = "pull"
    push = "push"


@dataclass(frozen=True, slots=True)
class Usage:
    """One place in the source where a variable is used; ``line`` counts from 1."""

    name: str
    path: str
    line: int


@dataclass(frozen=True, slots=True)
class EnvironmentScan:
    """Find the variables that source files use.

    Attributes:
        paths: files to look at, which the plugin must be allowed to read.
    """

    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EnvironmentValidation:
    """Check an environment.

    Attributes:
        environment: its name.
        variables: those that ``variable:read`` grants to the plugin; others are not sent.
        rules: ids of the rules to run; empty means all.
    """

    environment: str
    variables: tuple[Var, ...]
    rules: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EnvironmentSync:
    """Read an environment from a remote store, or write changes to it.

    Attributes:
        direction: pull reads; push writes ``changes``.
        remote: name of the environment in the remote store.
        changes: what to write.
        dry_run: nothing may be changed.
    """

    direction: Direction
    remote: str
    changes: Changes = field(default_factory=Changes)
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class CustomCommand:
    """Run a contributed command, workflow or report.

    Attributes:
        name: as the manifest contributes it.
        arguments: words of the command line behind the name.
        kind: ``command``, ``workflow`` or ``report``.
        dry_run: nothing may be changed.
    """

    name: str
    arguments: tuple[str, ...] = ()
    kind: str = "command"
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class ScanResult:
    """Answer to `EnvironmentScan`."""

    usages: tuple[Usage, ...] = ()


@dataclass(frozen=True, slots=True)
class ValidationResult:
    """Answer to `EnvironmentValidation`."""

    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class SyncResult:
    """Answer to `EnvironmentSync`: what a pull read, or the names that a push changed."""

    variables: Mapping[str, Secret] = field(default_factory=dict)
    changed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CommandResult:
    """Answer to `CustomCommand`.

    Attributes:
        output: text for the terminal.
        exit_code: 0 for success, up to 255.
        data: JSON value for scripts, or None.
    """

    output: str = ""
    exit_code: int = 0
    data: Any = None


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened in the host. Secrets are never part of it.

    Attributes:
        name: ``subject.verb/version``, for example ``sync.completed/1``.
        data: JSON object.
    """

    name: str
    data: Mapping[str, Any] = field(default_factory=dict)


Command: TypeAlias = EnvironmentScan | EnvironmentValidation | EnvironmentSync | CustomCommand
Result: TypeAlias = ScanResult | ValidationResult | SyncResult | CommandResult
