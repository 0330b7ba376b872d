"""Why a file may not be published: a rule id that documentation explains, a message, and what helps."""

from envcli_vetting.errors import VettingError


class AdmissionError(VettingError):
    """A file breaks a rule of the upload gate.

    Args:
        rule: stable rule id such as ``archive-unsafe``.
        message: the thing and the cause, without a full stop.
        remedy: what the publisher can do.
    """

    def __init__(self, rule: str, message: str, *, remedy: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.rule = rule
