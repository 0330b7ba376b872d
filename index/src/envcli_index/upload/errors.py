"""Why an upload is refused: a rule id that documentation explains, a message, and what helps."""

from http import HTTPStatus

from envcli_index.errors import IndexServiceError


class GateError(IndexServiceError):
    """An upload breaks a rule; nothing of it is stored.

    Args:
        rule: stable rule id such as ``archive-unsafe``.
        message: the thing and the cause, without a full stop.
        remedy: what the publisher can do.
        status: HTTP status of the answer.
    """

    def __init__(
        self, rule: str, message: str, *, remedy: str = "", status: HTTPStatus = HTTPStatus.BAD_REQUEST
    ) -> None:
        super().__init__(message, remedy=remedy)
        self.rule = rule
        self.status = status

    def __str__(self) -> str:
        """Return ``<rule>: message. Remedy`` on one line of printable characters."""
        line = f"{self.rule}: {super().__str__()}"
        return "".join(character if character.isprintable() else "?" for character in line)[:500]
