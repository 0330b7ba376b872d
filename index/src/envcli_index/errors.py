"""Errors of the index: one base class, messages that name the thing, the cause and the remedy."""


class IndexServiceError(Exception):
    """Base of every error that the index raises on purpose.

    Args:
        message: what failed and why, without a full stop.
        remedy: what the reader can do about it, as a sentence without a full stop.
    """

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy

    def __str__(self) -> str:
        """Return message and remedy as one line."""
        text = super().__str__()
        return f"{text}. {self.remedy}" if self.remedy else text


class ConfigError(IndexServiceError):
    """The index's settings are missing, unreadable or contradict each other."""


class StorageError(IndexServiceError):
    """A file or the database could not be written; nothing was published."""
