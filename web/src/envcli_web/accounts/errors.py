"""What can go wrong with accounts."""

from http import HTTPStatus

from envcli_web.errors import ConflictError, WebError


class SignInError(WebError):
    """Name and password do not belong together; never says which of the two is wrong."""

    status = HTTPStatus.UNAUTHORIZED


class NameTakenError(ConflictError):
    """Another account has this name."""


class WeakPasswordError(WebError):
    """The password would be guessed."""
