"""The host's end of one sandbox: start it, call it, answer what it asks, end it."""

from types import TracebackType
from typing import Any, Self

from envcli_sandbox.audit import AuditSink
from envcli_sandbox.broker import Broker
from envcli_sandbox.outcome import Outcome
from envcli_sandbox.request import SandboxRequest, Tier


class Sandbox:
    """One running child. Use it as a context manager; leaving it ends the child and everything it started."""

    tier: Tier
    mechanisms: tuple[str, ...]

    def call(self, method: str, params: dict[str, Any], timeout: float | None = None) -> Any:
        """Call the guest and return its JSON answer, answering its asks through the broker meanwhile.

        Args:
            method: ``initialize``, ``execute``, ``handle_event`` or ``cleanup``.
            params: JSON object.
            timeout: seconds; ``Limits.wall_seconds`` where None, and never more than that.

        Raises:
            SandboxCallError: the guest failed, or its process ended.
            SandboxTimeoutError: it took too long and was killed.
            ProtocolError: it sent something that is no frame, and was killed.
        """
        raise NotImplementedError

    @property
    def outcome(self) -> Outcome:
        """How it ended. Available once the sandbox is closed."""
        raise NotImplementedError

    def close(self) -> None:
        """End the child; harmless when repeated."""

    def __enter__(self) -> Self:
        """Return the sandbox itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the child."""
        self.close()


def open_sandbox(request: SandboxRequest, broker: Broker, audit: AuditSink) -> Sandbox:
    """Start a child restricted as ``request`` says.

    Args:
        request: the grants and limits.
        broker: decides what the child asks for.
        audit: hears of every decision.

    Raises:
        SandboxUnavailableError: this machine cannot give the tier ``request.floor``; nothing was run.
        SandboxError: the child could not be started.
    """
    raise NotImplementedError
