"""The host's side of an ask: who decides, what a decision looks like, and the decision about connections."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from envcli_sandbox.network import NetworkGrant, NotGrantedError, connect_checked, parse_grant


@dataclass(frozen=True, slots=True)
class Reply:
    """The host's answer to one ask: exactly one of result, denial and failure.

    Attributes:
        result: JSON value for the child.
        denied: reason of a refusal; None when allowed.
        failed: (kind, message) when the thing was allowed and went wrong.
        fds: descriptors to pass; they are closed here once they are sent.
        subject: what was asked about, for the audit: a name, a host and port, a path. Never a value.
    """

    result: Any = None
    denied: str | None = None
    failed: tuple[str, str] | None = None
    fds: tuple[int, ...] = ()
    subject: str = ""


class Broker(Protocol):
    """Decides what the child gets."""

    def handle(self, ask: str, params: Mapping[str, Any]) -> Reply:
        """Decide one ask. ``params`` come from untrusted code: check every type.

        Raising refuses the ask; the child learns only the exception's type, and the audit says ``failed``.
        """

    def notice(self, kind: str, payload: Mapping[str, Any]) -> None:
        """Take a ``log`` or ``progress`` notice, untrusted as well."""


class NullBroker:
    """Refuses every ask and drops every notice."""

    def handle(self, ask: str, params: Mapping[str, Any]) -> Reply:  # noqa: ARG002 the protocol's signature
        """Refuse ``ask``."""
        return Reply(denied=f"{ask} is not granted")

    def notice(self, kind: str, payload: Mapping[str, Any]) -> None:
        """Drop the notice."""


class NetworkConnector:
    """Answers ``network.connect``: resolves in the host, checks the grants, connects and passes the socket.

    The child never names an address to the kernel: it gets a connected TCP socket or a refusal, and what was
    checked is what was connected to, so a name that changes its address in between gains nothing.
    """

    def __init__(self, grants: Iterable[str], *, timeout_seconds: float = 10.0) -> None:
        """Parse the grants.

        Args:
            grants: ``host:port``, ``*.suffix:port``, or a host alone for port 443. ``*`` stands for labels of
                a name: for one or more at the front, for exactly one elsewhere.
            timeout_seconds: longest time for one connection.

        Raises:
            SandboxError: a grant cannot be read.
        """
        self._grants: tuple[NetworkGrant, ...] = tuple(parse_grant(grant) for grant in grants)
        self._timeout = timeout_seconds

    def handle(self, params: Mapping[str, Any]) -> Reply:
        """Decide one connection.

        Args:
            params: ``host`` (str) and ``port`` (int) as the child sent them.
        """
        host, port = params.get("host"), params.get("port")
        if not isinstance(host, str) or type(port) is not int or not 0 < port < 1 << 16 or len(host) > 255:
            return Reply(denied="network.connect needs a host name and a port from 1 to 65535")
        subject = f"{host}:{port}"
        try:
            connected = connect_checked(host, port, self._grants, self._timeout)
        except NotGrantedError as error:
            return Reply(denied=str(error), subject=subject)
        except OSError as error:
            return Reply(failed=_failure(error), subject=subject)
        return Reply(result={}, fds=(connected.detach(),), subject=subject)


def _failure(error: OSError) -> tuple[str, str]:
    import errno
    import socket

    if isinstance(error, socket.gaierror):
        return "EHOSTUNREACH", "the name could not be resolved"
    if isinstance(error, TimeoutError):
        return "ETIMEDOUT", "the connection timed out"
    return errno.errorcode.get(error.errno or errno.EIO, "EIO"), error.strerror or type(error).__name__
