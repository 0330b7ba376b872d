"""The host's side of each hook: one explicit method per hook, answered by a plugin in its sandbox.

pluggy reads argument names from the code object, so a generic ``**kwargs`` proxy would be given nothing.
"""

from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import pluggy
from envcli_sdk import hookspecs
from envcli_sdk.commands import (
    Command,
    CommandResult,
    CustomCommand,
    EnvironmentScan,
    EnvironmentSync,
    EnvironmentValidation,
    Event,
    Result,
    ScanResult,
    SyncResult,
    ValidationResult,
)
from envcli_sdk.hookspecs import hookimpl

from envcli_host.config import HostPaths
from envcli_host.plugins.access import ProjectAccess
from envcli_host.plugins.errors import PluginFailedError, UnsupportedCommandError
from envcli_host.plugins.registry import Record, Registry

if TYPE_CHECKING:
    from envcli_host.plugins.session import PluginSession

_T = TypeVar("_T")
_KINDS: dict[str, frozenset[str]] = {
    "envcli_scan_environment": frozenset({"command", "rule"}),
    "envcli_validate_environment": frozenset({"rule"}),
    "envcli_sync_environment": frozenset({"scheme"}),
    "envcli_run_command": frozenset({"command", "workflow", "report"}),
    "envcli_handle_event": frozenset({"event"}),
}


class PluginProxy:
    """Stands for one installed plugin in the host's plugin manager; started at the first call.

    Args:
        record: the plugin.
        start: opens its session.
    """

    def __init__(self, record: Record, start: "Callable[[], PluginSession]") -> None:
        self.record = record
        self._start = start
        self._session: PluginSession | None = None

    @hookimpl
    def envcli_scan_environment(self, command: EnvironmentScan) -> ScanResult:
        """Scan; a plugin that does not support it found nothing."""
        try:
            return _expect(ScanResult, self._execute(command), self.record)
        except UnsupportedCommandError:
            return ScanResult()

    @hookimpl
    def envcli_validate_environment(self, command: EnvironmentValidation) -> ValidationResult:
        """Run the plugin's rules."""
        return _expect(ValidationResult, self._execute(command), self.record)

    @hookimpl
    def envcli_sync_environment(self, scheme: str, command: EnvironmentSync) -> SyncResult | None:
        """Pull or push, where the scheme is the plugin's own."""
        if scheme not in self.record.names("scheme"):
            return None
        return _expect(SyncResult, self._execute(command), self.record)

    @hookimpl
    def envcli_run_command(self, name: str, command: CustomCommand) -> CommandResult | None:
        """Run a command, workflow or report, where the name is the plugin's own."""
        if name not in self.record.names(command.kind):
            return None
        return _expect(CommandResult, self._execute(command), self.record)

    @hookimpl
    def envcli_handle_event(self, event: Event) -> None:
        """Hear of an event that the manifest subscribes to."""
        if event.name in self.record.names("event"):
            self._opened().handle_event(event)

    def close(self) -> None:
        """End the plugin, if it was started."""
        if self._session is not None:
            self._session.close()
            self._session = None

    def _execute(self, command: Command) -> Result:
        return self._opened().execute(command)

    def _opened(self) -> "PluginSession":
        if self._session is None:
            self._session = self._start()
        return self._session


class HostPluginManager(pluggy.PluginManager):
    """Registers of each proxy only the hooks that the plugin's manifest declares."""

    def parse_hookimpl_opts(self, plugin: object, name: str) -> Any:
        """Options of a hook implementation, or None where it is none of this plugin's."""
        options = super().parse_hookimpl_opts(plugin, name)
        if options is None or not isinstance(plugin, PluginProxy):
            return options
        declared = {kind for kind, _, _ in plugin.record.contributes}
        return options if declared & _KINDS.get(name, frozenset()) else None


class PluginHost:
    """All installed plugins behind the hooks of ``envcli_sdk.hookspecs``; a context manager.

    ``host.hook.envcli_validate_environment(command=…)`` returns one result per plugin that has rules.
    """

    def __init__(self, paths: HostPaths, project: ProjectAccess | None) -> None:
        from envcli_host.plugins.starting import start

        self._manager = HostPluginManager(hookspecs.PROJECT)
        self._manager.add_hookspecs(hookspecs)
        self._proxies: list[PluginProxy] = []
        for record in Registry.load(paths):
            proxy = PluginProxy(record, partial(start, record, "default", project, paths))
            self._manager.register(proxy, name=record.project)
            self._proxies.append(proxy)
        self._manager.check_pending()

    @property
    def hook(self) -> pluggy.HookRelay:
        """Call hooks by name on it."""
        return self._manager.hook

    def __enter__(self) -> Self:
        """Return the host."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End every plugin that was started."""
        for proxy in self._proxies:
            proxy.close()


def _expect(kind: type[_T], result: Result, record: Record) -> _T:
    if not isinstance(result, kind):
        raise PluginFailedError(
            f"plugin {record.id} answered another command", remedy="Report it to its publisher"
        )
    return result
