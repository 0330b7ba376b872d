"""The permission vocabulary: what a plugin may ask for, and the grammar of each scope.

===================== ========================================================== =======================
Permission            Scope                                                    Example
===================== ========================================================== =======================
file:read, :write     absolute path, ``~/path`` or ``./path`` in the project   ``./schemas/*.json``
network:connect       ``host:port``, ``*`` within labels, a URL by reference   ``*.example.org:443``
variable:read, :write ``environment:NAME`` or ``NAME``, ``*`` allowed          ``prod:AWS_*``
api:call              dotted name of a host function, ``*`` as last part       ``environments.names``
process:spawn         name of a program                                        ``git``
system:*              name of an interface                                     ``clipboard``
===================== ========================================================== =======================

``{config.field}`` in a scope stands for the configured value of the instance; see `resolve_request`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from urllib.parse import urlsplit

from envcli_sdk.errors import ScopeError

REFERENCE = re.compile(r"\{config\.([a-z][a-z0-9_]*)\}")
MAX_SCOPE = 256
_LABEL = r"[A-Za-z0-9*](?:[A-Za-z0-9*-]{0,61}[A-Za-z0-9*])?"
_HOST = rf"(?:{_LABEL})(?:\.(?:{_LABEL}))*"
_NETWORK = re.compile(rf"(?P<host>{_HOST}|\[[0-9A-Fa-f:]+\]):(?P<port>[0-9]{{1,5}})")
_VARIABLE = re.compile(r"(?:[A-Za-z0-9_.*-]+:)?[A-Za-z0-9_.*-]+")
_FILE = re.compile(r"(?:/|~/|\./)[^\x00-\x1f\x7f]*")
_API = re.compile(r"[a-z]+(?:\.[a-z_]+)*(?:\.\*)?|\*")
_PROGRAM = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")
_BYTE = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_DOTTED = re.compile(rf"{_BYTE}(?:\.{_BYTE}){{3}}")
_DEFAULT_PORTS = {"http": 80, "https": 443}


class PermissionName(StrEnum):
    """Every permission there is, ``resource:action``."""

    FILE_READ = "file:read"
    FILE_WRITE = "file:write"
    NETWORK_CONNECT = "network:connect"
    VARIABLE_READ = "variable:read"
    VARIABLE_WRITE = "variable:write"
    API_CALL = "api:call"
    PROCESS_SPAWN = "process:spawn"
    SYSTEM = "system:*"


@dataclass(frozen=True, slots=True)
class PermissionRequest:
    """One permission that a plugin asks for.

    Attributes:
        permission: what it wants to do.
        scope: to what, in the grammar of that permission; may hold ``{config.field}`` references.
        reason: why, in the author's words, shown at consent.
    """

    permission: PermissionName
    scope: str
    reason: str

    @property
    def references(self) -> tuple[str, ...]:
        """Names of the configuration fields that the scope refers to, in order."""
        return tuple(REFERENCE.findall(self.scope))


_FILES = frozenset({PermissionName.FILE_READ, PermissionName.FILE_WRITE})
_GRAMMAR: dict[PermissionName, re.Pattern[str]] = {
    PermissionName.FILE_READ: _FILE,
    PermissionName.FILE_WRITE: _FILE,
    PermissionName.NETWORK_CONNECT: _NETWORK,
    PermissionName.VARIABLE_READ: _VARIABLE,
    PermissionName.VARIABLE_WRITE: _VARIABLE,
    PermissionName.API_CALL: _API,
    PermissionName.PROCESS_SPAWN: _PROGRAM,
    PermissionName.SYSTEM: _PROGRAM,
}
_EXAMPLES: dict[PermissionName, str] = {
    PermissionName.FILE_READ: "./schemas or ~/folder/file",
    PermissionName.FILE_WRITE: "./schemas or ~/folder/file",
    PermissionName.NETWORK_CONNECT: "api.example.org:443",
    PermissionName.VARIABLE_READ: "prod:AWS_*",
    PermissionName.VARIABLE_WRITE: "prod:AWS_*",
    PermissionName.API_CALL: "environments.names",
    PermissionName.PROCESS_SPAWN: "git",
    PermissionName.SYSTEM: "clipboard",
}


def verify_scope(request: PermissionRequest) -> None:
    """Check that the scope follows the grammar of its permission, references standing for any word.

    Raises:
        ScopeError: it does not.
    """
    scope = request.scope
    if not scope or len(scope) > MAX_SCOPE:
        raise ScopeError(f"scope must have 1 to {MAX_SCOPE} characters")
    if request.permission is PermissionName.NETWORK_CONNECT and REFERENCE.fullmatch(scope):
        return
    _verify_plain(request.permission, _stand_in(request.permission, scope))


def resolve_request(request: PermissionRequest, values: Mapping[str, object]) -> PermissionRequest | None:
    """Replace references by an instance's configuration.

    A network scope that is one reference alone may be configured as a URL; its host and port count.

    Args:
        request: as the manifest states it.
        values: configured values by field name, without secrets.

    Returns:
        The request with a plain scope, or None when a referenced field is not set: it then allows nothing.

    Raises:
        ScopeError: a configured value makes no valid scope. Values cannot bring wildcards in.
    """
    if not request.references:
        return request
    words: dict[str, str] = {}
    for name in request.references:
        value = values.get(name)
        if value is None or value == "":
            return None
        words[name] = str(value)
        wildcards = "*?[" if request.permission in _FILES else "*?"
        if set(wildcards) & set(words[name]):
            raise ScopeError(
                f"configured value of {name} holds a wildcard, which a scope does not take from there"
            )
    scope = REFERENCE.sub(lambda found: words[found[1]], request.scope)
    if request.permission is PermissionName.NETWORK_CONNECT and "://" in scope:
        scope = _address_of(scope)
    _verify_plain(request.permission, scope)
    return replace(request, scope=scope)


def _stand_in(permission: PermissionName, scope: str) -> str:
    """Fill references with a word that fits where they stand: a port takes digits."""
    if permission is PermissionName.NETWORK_CONNECT:
        scope = re.sub(rf":{REFERENCE.pattern}$", ":1", scope)
    if permission in _FILES:
        scope = re.sub(rf"^{REFERENCE.pattern}", "/x", scope)
    return REFERENCE.sub("x", scope)


def _verify_plain(permission: PermissionName, scope: str) -> None:
    found = _GRAMMAR[permission].fullmatch(scope)
    if not found:
        raise ScopeError(f"{scope!r} is no scope of {permission}; an example is {_EXAMPLES[permission]!r}")
    if permission is PermissionName.NETWORK_CONNECT:
        _verify_address(scope, found["host"], int(found["port"]))
    if permission in _FILES:
        _verify_path(scope)


def _verify_path(scope: str) -> None:
    """A path has one spelling only, so that its risk can be read off it."""
    parts = scope.split("/")
    if ".." in parts:
        raise ScopeError(f"{scope!r} leaves its folder by '..'; name the folder itself")
    if "." in parts[1:] or "" in parts[1:-1]:
        raise ScopeError(f"{scope!r} has an empty step or '.' in it; write the path without")


def _verify_address(scope: str, host: str, port: int) -> None:
    if not 1 <= port <= 65535:
        raise ScopeError(f"{scope!r} names no port between 1 and 65535")
    if "*" in host and "*" in "".join(host.split(".")[-2:]):
        raise ScopeError(f"{scope!r}: a wildcard needs two fixed labels behind it, as in '*.example.org:443'")
    if host.startswith("["):
        _verify_ipv6(scope, host[1:-1])
    if _NUMBER.fullmatch(host.rpartition(".")[2]) and not _DOTTED.fullmatch(host):
        raise ScopeError(f"{scope!r} hides an address; write it as four decimal numbers")
    if any("*" in label and label != "*" for label in host.split(".")):
        raise ScopeError(f"{scope!r}: '*' stands for a whole label, as in '*.example.org:443'")


def _verify_ipv6(scope: str, host: str) -> None:
    import ipaddress  # few scopes hold one

    try:
        address = ipaddress.IPv6Address(host)
    except ValueError as error:
        raise ScopeError(f"{scope!r} holds no IPv6 address") from error
    is_wrapping = address.ipv4_mapped or address.sixtofour or address.teredo or host.startswith("64:ff9b:")
    if is_wrapping or str(address) != host.lower():
        raise ScopeError(f"{scope!r} hides an address; write {str(address)!r}, or the IPv4 address in it")


def _address_of(url: str) -> str:
    try:
        parts = urlsplit(url)
        port = parts.port or _DEFAULT_PORTS.get(parts.scheme)
    except ValueError as error:
        raise ScopeError(f"configured address is no URL: {error}") from error
    if not parts.hostname or port is None:
        raise ScopeError("configured address lacks a host, or a port for its scheme")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{host}:{port}"
