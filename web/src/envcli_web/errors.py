"""Errors of the site."""

from http import HTTPStatus


class WebError(Exception):
    """Base of every error of this distribution.

    Args:
        message: what happened and to which thing.
        remedy: what the reader can do about it.
    """

    status = HTTPStatus.BAD_REQUEST

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        """Return the message and the remedy as one line."""
        return f"{self.message}. {self.remedy}".strip() if self.remedy else self.message


class NotFoundError(WebError):
    """The thing that was asked for does not exist, or not for this account."""

    status = HTTPStatus.NOT_FOUND


class ForbiddenError(WebError):
    """This account may not do that."""

    status = HTTPStatus.FORBIDDEN


class ConflictError(WebError):
    """The state of the thing does not allow that."""

    status = HTTPStatus.CONFLICT


class ConfigurationError(WebError):
    """The settings of the site are missing or wrong."""

    status = HTTPStatus.INTERNAL_SERVER_ERROR


class BusyError(WebError):
    """The site has too much to do at the moment."""

    status = HTTPStatus.SERVICE_UNAVAILABLE


class StorageError(WebError):
    """The site's database could not be read or written; nothing was changed."""

    status = HTTPStatus.SERVICE_UNAVAILABLE


class StorageFullError(StorageError):
    """The disk of the site is full; nothing was changed."""

    status = HTTPStatus.INSUFFICIENT_STORAGE
