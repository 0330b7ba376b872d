"""Which connections a grant allows, and making one that was checked.

Addresses fall in three classes. *Public* ones need a matching grant. *Private* ones (RFC 1918, RFC 4193,
RFC 6598) need a grant without wildcard, because a wildcard's names may be pointed anywhere by whoever owns
the domain. *Local* ones need more: loopback only for ``localhost`` or a literal address, link-local
addresses and the others where clouds serve metadata only when the grant spells the address itself.
Multicast, unspecified and reserved ones are never connected to.
"""

import errno
import ipaddress
import re
import socket
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from envcli_sandbox.errors import SandboxError

_LABEL = r"(?:\*|[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_DEFAULT_PORT = 443
_METADATA = tuple(
    ipaddress.ip_network(block)
    for block in (
        "169.254.0.0/16",  # link-local: AWS, Google, Azure and most others
        "100.100.100.200/32",  # Alibaba
        "168.63.129.16/32",  # Azure's host agent
        "192.0.0.192/32",  # Oracle
        "fd00:ec2::/32",  # AWS over IPv6
    )
)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class NotGrantedError(SandboxError):
    """A connection that no grant allows; the message tells which and why."""


@dataclass(frozen=True, slots=True)
class NetworkGrant:
    """One parsed grant.

    Attributes:
        host: lower-case name, possibly with ``*`` labels, or a literal address.
        port: TCP port.
    """

    host: str
    port: int

    @property
    def is_wildcard(self) -> bool:
        """Whether the grant covers more than one name."""
        return "*" in self.host

    def is_for(self, host: str, port: int) -> bool:
        """Return whether the grant names ``host`` and ``port``."""
        return port == self.port and (host == self.host or (self.is_wildcard and self._covers(host)))

    def _covers(self, host: str) -> bool:
        wanted, given = self.host.split("."), host.split(".")
        if wanted[0] == "*" and len(given) > len(wanted):
            given = given[len(given) - len(wanted) :]
        pairs = zip(wanted, given, strict=False)
        return len(wanted) == len(given) and all(w in {"*", g} for w, g in pairs) and not _is_address(host)


def parse_grant(text: str) -> NetworkGrant:
    """Parse ``host:port``, ``*.suffix:port``, ``[v6]:port`` or a host alone, which means port 443.

    Raises:
        SandboxError: the text is none of these, or a wildcard that covers a whole top-level domain.
    """
    host, port = _split(text.strip())
    if not port.isascii() or not port.isdigit() or not 0 < int(port) < 1 << 16:
        raise SandboxError(f"network grant {text!r}: the port must be a number from 1 to 65535")
    name = _normal(host)
    if not _is_address(name) and not _NAME.fullmatch(name):
        raise SandboxError(f"network grant {text!r}: write host:port, *.suffix:port or [address]:port")
    if "*" in name and "*" in name.split(".")[-2:]:
        raise SandboxError(f"network grant {text!r}: a wildcard needs at least two fixed labels behind it")
    return NetworkGrant(name, int(port))


def connect_checked(host: str, port: int, grants: Iterable[NetworkGrant], timeout: float) -> socket.socket:
    """Return a blocking TCP socket connected to ``host`` if a grant allows it.

    Args:
        host: name or literal address as the untrusted side wrote it.
        port: TCP port.
        grants: what is allowed.
        timeout: seconds for all addresses together.

    Raises:
        NotGrantedError: no grant names it, or every address of it is of a class the grants do not cover.
        OSError: the name does not resolve or nothing answers.
    """
    name = _normal(host)
    fitting = [grant for grant in grants if grant.is_for(name, port)]
    if not fitting:
        raise NotGrantedError(f"network:connect {name}:{port} is not granted")
    addresses = list(_resolve(name, port))
    allowed = [a for a in addresses if any(is_allowed(a, name, grant) for grant in fitting)]
    if addresses and not allowed:
        raise NotGrantedError(
            f"{name} resolves to a private or local address, and only a grant that spells that host covers it"
        )
    return _first_connected(allowed, port, timeout)


def _split(text: str) -> tuple[str, str]:
    if text.startswith("["):
        host, closing, rest = text[1:].partition("]")
        if not closing or not (rest == "" or rest.startswith(":")):
            return "", ""
        return host, rest[1:] if rest else str(_DEFAULT_PORT)
    if text.count(":") > 1:
        return text, str(_DEFAULT_PORT)
    host, colon, port = text.partition(":")
    return host, port if colon else str(_DEFAULT_PORT)


def _normal(host: str) -> str:
    """Return the form names are compared in: lower case, ASCII, no dot at the end, canonical addresses."""
    try:
        name = (
            host.rstrip(".").lower().encode("idna").decode("ascii")
            if not host.isascii()
            else host.rstrip(".").lower()
        )
    except UnicodeError:
        return ""
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return name


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _resolve(name: str, port: int) -> Iterator[Address]:
    for *_, address in socket.getaddrinfo(name, port, type=socket.SOCK_STREAM):
        yield ipaddress.ip_address(str(address[0]).partition("%")[0])


def is_allowed(address: Address, name: str, grant: NetworkGrant) -> bool:
    """Return whether ``grant``, which names ``name``, covers this class of address."""
    real = _unwrapped(address)
    if real.is_multicast or real.is_unspecified or (real.is_reserved and not real.is_loopback):
        return False
    is_literal = _is_address(grant.host)
    if real.is_link_local or any(real in network for network in _METADATA if real.version == network.version):
        return is_literal
    if real.is_loopback:
        return is_literal or (not grant.is_wildcard and (name == "localhost" or name.endswith(".localhost")))
    # Both: a tunnel's own address (6to4) is no public one, whatever it wraps.
    return (real.is_global and address.is_global) or not grant.is_wildcard


def _unwrapped(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 one stands for (mapped, 6to4 or NAT64), or the address itself."""
    if isinstance(address, ipaddress.IPv6Address):
        if address in _NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        return address.ipv4_mapped or address.sixtofour or address
    return address


def _first_connected(addresses: Iterable[Address], port: int, timeout: float) -> socket.socket:
    failure: OSError = socket.gaierror(socket.EAI_NONAME, "no address")
    deadline = time.monotonic() + timeout
    for address in addresses:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError(errno.ETIMEDOUT, "no address answered in time")
        try:
            connected = socket.create_connection((str(address), port), left)
        except OSError as error:
            failure = error
            continue
        connected.settimeout(None)
        return connected
    raise failure
