"""Makes the socket module of the child work through the host, so unmodified HTTP libraries do.

This is convenience and no boundary: the kernel refuses IP sockets and ``connect`` whatever Python does. A TCP
socket starts as an unconnected placeholder; connecting asks the host, which resolves, decides, connects and
passes a descriptor that takes the placeholder's place.
"""

import errno
import os
import socket
from typing import Any, Final

from envcli_sandbox.runner.channel import AskFailedError, DeniedError, GuestChannel

_PORTS: Final = {"http": 80, "https": 443, None: 0, "": 0}
_INTERNET: Final = frozenset({socket.AF_INET, socket.AF_INET6})
_KernelSocket: Final = socket.socket

Address = tuple[Any, ...]


class BrokeredSocket(socket.socket):
    """A socket whose TCP connections are made by the host."""

    _asker: GuestChannel

    def __init__(
        self,
        family: int = -1,
        type: int = -1,  # noqa: A002 the name is socket's
        proto: int = -1,
        fileno: int | None = None,
    ) -> None:
        """Make a socket; a TCP one is a placeholder until it is connected."""
        self._options: list[tuple[Any, ...]] = []
        family = socket.AF_INET if family == -1 and fileno is None else family
        kind = socket.SOCK_STREAM if type == -1 else type
        if fileno is None and family in _INTERNET and kind & 0xF == socket.SOCK_STREAM:
            fileno = _KernelSocket(socket.AF_UNIX, socket.SOCK_STREAM).detach()
            proto = socket.IPPROTO_TCP
            type = socket.SOCK_STREAM  # noqa: A001 the name is socket's
        super().__init__(family, type, proto, fileno)

    def setsockopt(self, *args: Any) -> None:
        """Set an option now, or at the connection where the placeholder does not know it."""
        if self._is_placeholder():
            self._options.append(args)
        else:
            super().setsockopt(*args)

    def connect(self, address: Any, /) -> None:
        """Connect through the host.

        Raises:
            PermissionError: the host refused.
            OSError: it tried and failed.
        """
        if self.family not in _INTERNET:
            super().connect(address)
            return
        if not self._is_placeholder():
            raise OSError(errno.EISCONN, os.strerror(errno.EISCONN))
        self._replace(_ask_for_connection(self._asker, str(address[0]), int(address[1])))

    def connect_ex(self, address: Any, /) -> int:
        """Connect through the host and return an errno, 0 for success."""
        try:
            self.connect(address)
        except OSError as error:
            return error.errno or errno.EIO
        return 0

    def _is_placeholder(self) -> bool:
        if self.family not in _INTERNET:
            return False
        try:
            self.getpeername()
        except OSError as error:
            return error.errno == errno.ENOTCONN
        return False

    def _replace(self, descriptor: int) -> None:
        """Put the connection in the placeholder's place, with its time-out and options."""
        try:
            os.dup2(descriptor, self.fileno(), inheritable=False)
        finally:
            os.close(descriptor)
        self.settimeout(self.gettimeout())
        for option in self._options:
            super().setsockopt(*option)
        self._options.clear()


def connect_through(channel: GuestChannel) -> None:
    """Replace what the socket module offers for TCP and names by what goes through ``channel``."""
    BrokeredSocket._asker = channel
    replacements = {
        "socket": BrokeredSocket,
        "SocketType": BrokeredSocket,
        "has_ipv6": False,
        "getaddrinfo": _address_of,
        "gethostbyname": _refuse_lookup,
        "gethostbyname_ex": _refuse_lookup,
        "gethostbyaddr": _refuse_lookup,
        "getfqdn": lambda name="": name or "localhost",
    }
    for name, value in replacements.items():
        setattr(socket, name, value)


def _ask_for_connection(channel: GuestChannel, host: str, port: int) -> int:
    try:
        _, descriptors = channel.ask_for_fds("network.connect", {"host": host, "port": port})
    except DeniedError as error:
        raise PermissionError(errno.EPERM, str(error)) from None
    except AskFailedError as error:
        code = getattr(errno, error.type_name, errno.EIO)
        raise OSError(code, f"{host}:{port}: {error}") from None
    return descriptors[0]


def _address_of(
    host: str | bytes | None, port: str | int | bytes | None, *_: Any, **__: Any
) -> list[tuple[socket.AddressFamily, socket.SocketKind, int, str, Address]]:
    """Answer like getaddrinfo with the name itself in the address's place: the host resolves it."""
    name = host.decode() if isinstance(host, bytes) else host or "localhost"
    service = port.decode() if isinstance(port, bytes) else port
    try:
        number = _PORTS[service] if service in _PORTS else int(service or 0)
    except ValueError:
        raise socket.gaierror(socket.EAI_SERVICE, f"service {service!r} is not known; use a number") from None
    return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (name, number))]


def _refuse_lookup(*_: Any) -> None:
    raise socket.gaierror(socket.EAI_FAIL, "names are resolved by the host; connect to the name itself")
