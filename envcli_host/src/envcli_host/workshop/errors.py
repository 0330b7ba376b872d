"""Errors of the workshop."""

from envcli_host.errors import EnvcliError


class WorkshopError(EnvcliError):
    """A plugin project cannot be scaffolded, built, signed, published or followed."""


class ProjectError(WorkshopError):
    """The folder is not a plugin project, or its ``pyproject.toml`` is malformed."""


class BuildError(WorkshopError):
    """The build backend failed, or did not make exactly one wheel and one source archive."""


class SigningError(WorkshopError):
    """No credential, no certificate, or no place in the transparency log; no file was signed by halves."""


class UploadError(WorkshopError):
    """The index refused a file or did not answer.

    Attributes:
        rule: identifier of the index' rule that refused the file, or "" when none was named.
    """

    def __init__(self, message: str, *, remedy: str = "", rule: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.rule = rule
