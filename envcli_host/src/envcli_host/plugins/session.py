"""One plugin running in its sandbox."""

import json
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from envcli_sandbox.errors import SandboxCallError, SandboxError, SandboxTimeoutError
from envcli_sandbox.protocol import MAX_FRAME_BYTES
from envcli_sandbox.request import Limits
from envcli_sandbox.session import Sandbox
from envcli_sdk.commands import (
    Command,
    EnvironmentSync,
    EnvironmentValidation,
    Event,
    Result,
    SyncResult,
    ValidationResult,
)
from envcli_sdk.errors import WireError
from envcli_sdk.wire import command_to_wire, event_to_wire, result_from_wire

from envcli_host.audit import AuditLog
from envcli_host.errors import UsageError
from envcli_host.plugins.broker import PluginBroker, Redactor
from envcli_host.plugins.errors import PluginFailedError, UnsupportedCommandError
from envcli_host.plugins.registry import Record

CLEANUP_SECONDS = 5.0
_FRAME_OVERHEAD = 1024


class PluginSession:
    """A started and initialized plugin; leaving the context cleans it up and ends its process.

    Attributes:
        tier: ``base`` or ``hard``, the isolation in force.
        warnings: lines the user should see, for example about old trust metadata.
    """

    def __init__(
        self,
        record: Record,
        sandbox: Sandbox,
        broker: PluginBroker,
        redactor: Redactor,
        audit: AuditLog,
        warnings: tuple[str, ...] = (),
    ) -> None:
        """Take over a started sandbox; ``envcli_host.plugins.manager.open_plugin`` is the way to get here."""
        self.tier = str(sandbox.tier)
        self.warnings = warnings
        self._record = record
        self._sandbox = sandbox
        self._broker = broker
        self._redactor = redactor
        self._audit = audit

    def initialize(self, params: dict[str, Any]) -> None:
        """Let the plugin prepare itself.

        Raises:
            PluginFailedError: it could not.
        """
        self._call("initialize", params)

    def execute(self, command: Command) -> Result:
        """Carry out a command and return the result that belongs to its kind.

        The variables of an `EnvironmentValidation` are reduced to those that ``variable:read`` grants; a finding
        about another one keeps its message and loses its repair.

        Raises:
            PluginFailedError: the plugin raised, or ended; the message is cleaned of secrets.
            UsageError: the words of the command line are not what its command takes.
        """
        released = self._released(command)
        wire = command_to_wire(released)
        self._audit.record({"event": "plugin.called", "command": wire["kind"], **_subject(released)})
        raw = self._call("execute", {"command": wire})
        try:
            result = result_from_wire(raw, command)
        except WireError as error:
            raise self._failed(f"answered wrongly: {error}") from error
        if isinstance(result, ValidationResult) and isinstance(released, EnvironmentValidation):
            return _about(result, released)
        if isinstance(result, SyncResult):
            for secret in result.variables.values():
                self._redactor.remember(secret.value)
        return result

    def handle_event(self, event: Event, timeout: float | None = None) -> None:
        """Tell the plugin of an event; ``timeout`` in seconds."""
        self._audit.record({"event": "plugin.called", "command": "event", "subject": event.name})
        self._call("handle_event", {"event": event_to_wire(event)}, timeout)

    def close(self) -> None:
        """Clean the plugin up and end its process; harmless when repeated."""
        try:
            self._sandbox.call("cleanup", {}, CLEANUP_SECONDS)
        except SandboxError as error:
            self._audit.record({"event": "plugin.cleanup-failed", "reason": self._redactor.clean(str(error))})
        finally:
            self._sandbox.close()

    def __enter__(self) -> Self:
        """Return the session."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Clean the plugin up and end its process."""
        self.close()

    def _released(self, command: Command) -> Command:
        """The command with only what the plugin may see; values that it sees are masked in what it says."""
        if isinstance(command, EnvironmentSync):
            for secret in command.changes.set.values():
                self._redactor.remember(secret.value)
        if not isinstance(command, EnvironmentValidation):
            return command
        kept = tuple(
            item for item in command.variables if self._broker.readable(command.environment, item.name)
        )
        withheld = [item.name for item in command.variables if item not in kept]
        for item in kept:
            self._redactor.remember(item.value)
        subject = {"environment": command.environment, "released": [item.name for item in kept]}
        self._audit.record(
            {"event": "variable.released", "verdict": "allowed", **subject, "withheld": withheld}
        )
        return EnvironmentValidation(command.environment, kept, command.rules)

    def _call(self, method: str, params: dict[str, Any], timeout: float | None = None) -> Any:
        if _size(params) > MAX_FRAME_BYTES - _FRAME_OVERHEAD:
            raise self._failed(f"cannot be given more than {MAX_FRAME_BYTES >> 20} MiB at once")
        try:
            return self._sandbox.call(method, params, timeout)
        except SandboxTimeoutError as error:
            raise self._failed(f"was stopped: {error}") from None
        except SandboxCallError as error:
            if error.type_name == "UsageError":
                raise self._misused(error.detail) from None
            raise self._failed(f"failed: {_told(error)}", error.type_name) from None
        except SandboxError as error:
            raise self._failed(f"was stopped: {error}") from None

    def _misused(self, what: str) -> UsageError:
        text = self._redactor.clean(what)
        self._audit.record({"event": "plugin.failed", "reason": text})
        return UsageError(text)

    def _failed(self, what: str, type_name: str = "") -> PluginFailedError:
        text = self._redactor.clean(what)
        self._audit.record({"event": "plugin.failed", "reason": text})
        kind = UnsupportedCommandError if type_name == "UnsupportedCommandError" else PluginFailedError
        return kind(f"plugin {self._record.id} {text}", remedy="See: envcli audit")


def _told(error: SandboxCallError) -> str:
    if error.type_name == "MemoryError":
        return f"it ran out of its {Limits().memory_bytes >> 20} MiB of memory"
    return error.type_name if error.detail == error.type_name else f"{error.type_name}: {error.detail}"


def _about(result: ValidationResult, released: EnvironmentValidation) -> ValidationResult:
    """Findings whose repairs concern only what the plugin was given to see."""
    seen = {item.name for item in released.variables}
    return ValidationResult(
        tuple(item if item.variable in seen else replace(item, fix=None) for item in result.findings)
    )


def _subject(command: Command) -> dict[str, Any]:
    if isinstance(command, EnvironmentSync):
        names = sorted({*command.changes.set, *command.changes.delete})
        return {"direction": str(command.direction), "subject": command.remote, "released": names}
    return {"subject": getattr(command, "name", "")}


def _size(params: dict[str, Any]) -> int:
    """Bytes that the parameters take on the wire."""
    return len(json.dumps(params, ensure_ascii=False, separators=(",", ":")).encode())
