"""Where a sandbox reports what it decided."""

from collections.abc import Mapping
from typing import Any, Protocol


class AuditSink(Protocol):
    """Takes one event per decision.

    Events are JSON objects with an ``event`` key:

    * ``sandbox.opened``: ``tier``, ``mechanisms``, ``degraded`` (why a better tier is missing), ``entry``
    * ``sandbox.refused``: ``reason``
    * ``sandbox.asked``: ``ask``, ``subject``, ``verdict`` (``allowed``, ``denied`` or ``failed``), ``reason``
    * ``sandbox.syscall-denied``: ``syscall``, ``count``, and ``family`` for sockets
    * ``sandbox.closed``: ``exit_status``, ``killed_by``, ``cpu_seconds``, ``max_rss_bytes``

    No event carries a value that was read, written or answered: only names, hosts and verdicts. Events come
    one at a time, but not always from the thread that opened the sandbox.
    """

    def record(self, event: Mapping[str, Any]) -> None:
        """Store one event. Raising stops the action that was about to be taken."""


class NullAudit:
    """Keeps nothing; for tests and benchmarks."""

    def record(self, event: Mapping[str, Any]) -> None:
        """Forget ``event``."""
