"""Base classes of plugins."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from envcli_sdk.commands import (
    Changes,
    Command,
    CustomCommand,
    Direction,
    EnvironmentSync,
    EnvironmentValidation,
    Event,
    Result,
    SyncResult,
)
from envcli_sdk.context import Context
from envcli_sdk.errors import UnsupportedCommandError
from envcli_sdk.secret import Secret

if TYPE_CHECKING:
    from envcli_sdk.metadata import PluginMetadata


class Plugin:
    """A plugin's life: `initialize`, then any number of `execute` and `handle_event`, then `cleanup`.

    Every method may be ``async``. Those marked by `rule`, `command`, `step`, `report` and `on` are found
    and routed to; override `execute` for anything else.

    Attributes:
        config: dataclass of the configuration; its fields are those of ``[config]`` in the manifest.
    """

    config: ClassVar[type[Any] | None] = None

    @property
    def metadata(self) -> PluginMetadata:
        """What the plugin is, from its ``plugin.toml`` and, where it is installed, its METADATA."""
        from envcli_sdk.metadata import installed_metadata

        return installed_metadata(self.module)

    @property
    def module(self) -> str:
        """Name of the module that defines the plugin."""
        return type(self).__module__

    def initialize(self, ctx: Context) -> Awaitable[None] | None:
        """Prepare: import what is heavy, open clients."""

    def execute(self, command: Command) -> Awaitable[Result] | Result:
        """Carry out a command.

        Raises:
            UnsupportedCommandError: the plugin has nothing for it.
        """
        from envcli_sdk.routing import run_command, run_rules

        if isinstance(command, EnvironmentValidation):
            return run_rules(self, command)
        if isinstance(command, CustomCommand):
            return run_command(self, command)
        raise UnsupportedCommandError(f"{type(self).__name__} does not support {type(command).__name__}")

    def handle_event(self, event: Event) -> Awaitable[None] | None:
        """Hear of something that happened; methods marked with `on` are called."""
        from envcli_sdk.routing import dispatch_event

        return dispatch_event(self, event)

    def cleanup(self) -> Awaitable[None] | None:
        """Close what `initialize` opened."""


class Integration(Plugin):
    """Reads and writes environments of a remote store.

    Attributes:
        scheme: what stands before the colon in ``envcli sync aws-sm:prod prod``.
    """

    scheme: ClassVar[str] = ""

    def pull(self, env: str) -> Awaitable[Mapping[str, Secret]] | Mapping[str, Secret]:  # noqa: ARG002
        """Every variable of the remote environment ``env``."""
        raise UnsupportedCommandError(f"{self.scheme or type(self).__name__} cannot be read from")

    def push(self, env: str, changes: Changes) -> Awaitable[None] | None:  # noqa: ARG002
        """Apply ``changes`` to the remote environment ``env``."""
        raise UnsupportedCommandError(f"{self.scheme or type(self).__name__} cannot be written to")

    async def execute(self, command: Command) -> Result:
        """Route a synchronisation to `pull` or `push`."""
        from envcli_sdk.driving import settle

        if not isinstance(command, EnvironmentSync):
            return await settle(super().execute(command))
        if command.direction is Direction.pull:
            return SyncResult(variables=dict(await settle(self.pull(command.remote))))
        changed = (*command.changes.set, *command.changes.delete)
        if not command.dry_run:
            await settle(self.push(command.remote, command.changes))
        return SyncResult(changed=changed)
