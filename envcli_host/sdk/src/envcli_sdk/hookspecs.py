"""Hook specifications, named ``envcli_<verb>_<noun>``.

The host calls these through pluggy; for each installed plugin a proxy answers by calling the sandbox. Plugin
authors rarely meet them: `Plugin` and the decorators are the usual way.
"""

from __future__ import annotations

import pluggy

from envcli_sdk.commands import (
    CommandResult,
    CustomCommand,
    EnvironmentScan,
    EnvironmentSync,
    EnvironmentValidation,
    Event,
    ScanResult,
    SyncResult,
    ValidationResult,
)

PROJECT = "envcli"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def envcli_scan_environment(command: EnvironmentScan) -> ScanResult:  # type: ignore[empty-body]
    """Find variables used by source files; every plugin that scans answers."""


@hookspec
def envcli_validate_environment(command: EnvironmentValidation) -> ValidationResult:  # type: ignore[empty-body]
    """Check an environment; every plugin with rules answers."""


@hookspec(firstresult=True)
def envcli_sync_environment(scheme: str, command: EnvironmentSync) -> SyncResult | None:
    """Read from or write to the store behind ``scheme``; the plugin that contributes it answers."""


@hookspec(firstresult=True)
def envcli_run_command(name: str, command: CustomCommand) -> CommandResult | None:
    """Run a contributed command, workflow or report; the plugin that contributes it answers."""


@hookspec
def envcli_handle_event(event: Event) -> None:
    """Hear of an event; every plugin that contributes it is told."""
