"""Typed SDK for envcli plugin authors: everything public stands here.

Names are loaded on first use, so that a plugin pays only for what it touches.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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
    from envcli_sdk.context import Context
    from envcli_sdk.decorators import command, on, report, rule, step
    from envcli_sdk.errors import (
        ConfigError,
        ManifestError,
        PermissionDeniedError,
        PluginError,
        ScopeError,
        SdkError,
        UnsupportedCommandError,
        UsageError,
        WireError,
    )
    from envcli_sdk.hookspecs import hookimpl, hookspec
    from envcli_sdk.manifest import (
        Contribution,
        ContributionKind,
        PluginManifest,
        PluginType,
        parse_manifest,
    )
    from envcli_sdk.metadata import PluginMetadata, metadata_from
    from envcli_sdk.permissions import PermissionName, PermissionRequest, resolve_request, verify_scope
    from envcli_sdk.plugin import Integration, Plugin
    from envcli_sdk.routing import collect
    from envcli_sdk.secret import Secret
    from envcli_sdk.settings import ConfigField, FieldType, parse_value, validate_config

__version__ = "0.1.0"

_HOMES = {
    "commands": (
        "Changes",
        "Command",
        "CommandResult",
        "CustomCommand",
        "Direction",
        "EnvironmentScan",
        "EnvironmentSync",
        "EnvironmentValidation",
        "Event",
        "Finding",
        "Fix",
        "Result",
        "ScanResult",
        "Severity",
        "SyncResult",
        "Usage",
        "ValidationResult",
        "Var",
    ),
    "context": ("Context",),
    "decorators": ("command", "on", "report", "rule", "step"),
    "errors": (
        "ConfigError",
        "ManifestError",
        "PermissionDeniedError",
        "PluginError",
        "ScopeError",
        "SdkError",
        "UnsupportedCommandError",
        "UsageError",
        "WireError",
    ),
    "hookspecs": ("hookimpl", "hookspec"),
    "manifest": ("Contribution", "ContributionKind", "PluginManifest", "PluginType", "parse_manifest"),
    "metadata": ("PluginMetadata", "metadata_from"),
    "permissions": ("PermissionName", "PermissionRequest", "resolve_request", "verify_scope"),
    "plugin": ("Integration", "Plugin"),
    "routing": ("collect",),
    "secret": ("Secret",),
    "settings": ("ConfigField", "FieldType", "parse_value", "validate_config"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Changes",
    "Command",
    "CommandResult",
    "ConfigError",
    "ConfigField",
    "Context",
    "Contribution",
    "ContributionKind",
    "CustomCommand",
    "Direction",
    "EnvironmentScan",
    "EnvironmentSync",
    "EnvironmentValidation",
    "Event",
    "FieldType",
    "Finding",
    "Fix",
    "Integration",
    "ManifestError",
    "PermissionDeniedError",
    "PermissionName",
    "PermissionRequest",
    "Plugin",
    "PluginError",
    "PluginManifest",
    "PluginMetadata",
    "PluginType",
    "Result",
    "ScanResult",
    "ScopeError",
    "SdkError",
    "Secret",
    "Severity",
    "SyncResult",
    "UnsupportedCommandError",
    "Usage",
    "UsageError",
    "ValidationResult",
    "Var",
    "WireError",
    "collect",
    "command",
    "hookimpl",
    "hookspec",
    "metadata_from",
    "on",
    "parse_manifest",
    "parse_value",
    "report",
    "resolve_request",
    "rule",
    "step",
    "validate_config",
    "verify_scope",
]


def __getattr__(name: str) -> Any:
    """Load a public name on first use (PEP 562)."""
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value
