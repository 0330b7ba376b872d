"""Errors of the SDK: one base, one name per fault."""


class SdkError(Exception):
    """Base of everything that the SDK raises."""


class ManifestError(SdkError):
    """``plugin.toml`` is malformed; the message names the place and the remedy."""


class ConfigError(SdkError):
    """A configuration value is missing, unknown or of the wrong type."""


class ScopeError(SdkError):
    """A permission's scope does not follow its grammar, or cannot be resolved."""


class WireError(SdkError):
    """A message between host and plugin is not of the agreed shape."""


class PluginError(SdkError):
    """Raised by plugins: the operation failed for a reason the user can act on.

    Args:
        message: the thing and the cause. Never put a secret into it.
        tip: what the user could do; may be empty.
    """

    def __init__(self, message: str, *, tip: str = "") -> None:
        super().__init__(f"{message}. {tip}" if tip else message)
        self.message = message
        self.tip = tip


class UnsupportedCommandError(PluginError):
    """The plugin does not handle this kind of command."""


class UsageError(PluginError):
    """The words behind a command are not what it takes; the host exits with status 2."""


class PermissionDeniedError(PluginError):
    """The host did not allow a request: it is not granted, or its scope does not cover it."""
