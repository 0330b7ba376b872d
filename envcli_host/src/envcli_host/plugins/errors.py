"""Errors of the plugin runtime."""

from envcli_host.errors import EnvcliError, UsageError


class PluginRuntimeError(EnvcliError):
    """Base of what goes wrong with an installed plugin."""


class UnknownPluginError(PluginRuntimeError):
    """No such plugin is installed."""


class InstallError(PluginRuntimeError):
    """A plugin could not be installed; nothing was changed."""


class ModifiedError(PluginRuntimeError):
    """An installed tree is not what was installed; it does not run."""


class RegistryError(PluginRuntimeError):
    """The list of installed plugins is malformed."""


class ConsentError(UsageError):
    """A permission was not granted, or nobody was there to grant it."""


class GrantError(PluginRuntimeError):
    """What a plugin would run with is not what was granted."""


class PluginFailedError(PluginRuntimeError):
    """The plugin raised, took too long or ended."""


class UnsupportedCommandError(PluginFailedError):
    """The plugin says that it does not handle this kind of command."""
