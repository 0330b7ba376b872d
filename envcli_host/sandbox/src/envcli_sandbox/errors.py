"""Errors of the sandbox. Every one derives from :class:`SandboxError`."""


class SandboxError(Exception):
    """Something about a sandbox went wrong; the message names the thing, the cause and the remedy."""


class SandboxUnavailableError(SandboxError):
    """This machine cannot give the tier that was asked for, so the code was not run."""


class SandboxTimeoutError(SandboxError):
    """A call took longer than its wall-clock limit and the child was killed."""


class ProtocolError(SandboxError):
    """A frame broke the rules of the protocol; its sender can no longer be believed."""


class SandboxCallError(SandboxError):
    """The called code failed, or its process ended before it answered.

    Attributes:
        type_name: name of the exception in the child, or ``"ProcessEnded"``.
        detail: its message, sanitised and shortened, never trusted.
    """

    def __init__(self, type_name: str, detail: str) -> None:
        """Keep both parts of the failure beside the joined message."""
        super().__init__(f"{type_name}: {detail}")
        self.type_name = type_name
        self.detail = detail
