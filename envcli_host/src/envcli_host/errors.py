"""Errors of the host.

Every error that a user may see names the thing, the cause and the remedy; ``cli.main`` prints it as one line
and turns ``exit_code`` into the exit status.
"""


class EnvcliError(Exception):
    """Something the user can read and act on.

    Args:
        message: the thing and the cause, without a final full stop.
        remedy: what to do about it, without a final full stop; may be empty.
    """

    exit_code = 1

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}. {self.remedy}" if self.remedy else self.message


class UsageError(EnvcliError):
    """The command line cannot be understood, or lacks a decision only the user can take (exit status 2)."""

    exit_code = 2


class ConfigError(EnvcliError):
    """A configuration file of the host is malformed."""


class EnvironmentStoreError(EnvcliError):
    """A project, an environment or one of its files is missing, malformed or unwritable."""


class MarketplaceError(EnvcliError):
    """A plugin index did not answer, or answered something unusable; nothing was changed."""


class UnknownIndexError(MarketplaceError):
    """No index of that name is configured, or none at all."""


class OfferNotFoundError(MarketplaceError):
    """The index holds no such project or no release that fits this machine."""


class VerificationError(MarketplaceError):
    """Evidence is missing, does not match or is not signed by whom it must be."""


class TakenDownError(VerificationError):
    """The index has withdrawn this release."""


class StaleTrustError(VerificationError):
    """The trust metadata at hand is too old, or this machine's clock went backwards."""
