"""What a plugin gets: its configuration, a log, and an API whose every call the host decides."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, cast

from envcli_sdk.errors import ConfigError, PluginError
from envcli_sdk.secret import Secret

if TYPE_CHECKING:
    from socket import socket


class Host(Protocol):
    """The way to the host: a sandboxed plugin's channel, or a test's stand-in."""

    def ask(self, name: str, params: Mapping[str, Any]) -> Any:
        """Ask for something and return its JSON answer.

        Raises:
            PermissionDeniedError: the host refused.
            PluginError: the host allowed it, and it failed.
        """

    def ask_for_file(self, name: str, params: Mapping[str, Any]) -> int:
        """Ask for something that is answered with a file descriptor, which the caller owns."""

    def notify(self, notice: Mapping[str, Any]) -> None:
        """Send a log line or progress."""


class HeldSecret(Secret):
    """A configured secret that stays with the host: each read of `value` asks for it and is audited."""

    __slots__ = ("_host", "_name")

    def __init__(self, host: Host, name: str) -> None:
        super().__init__("")
        self._host = host
        self._name = name

    @property
    def value(self) -> str:
        """Ask the host for the secret."""
        return str(self._host.ask("config.get", {"name": self._name}))


class Log:
    """Lines in the host's log. Known secrets are masked; put none in all the same."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def debug(self, message: str) -> None:
        """For authors."""
        self._send("debug", message)

    def info(self, message: str) -> None:
        """For users who want details."""
        self._send("info", message)

    def warning(self, message: str) -> None:
        """For every user."""
        self._send("warning", message)

    def error(self, message: str) -> None:
        """For every user: something failed and the call goes on."""
        self._send("error", message)

    def progress(self, label: str, done: int, total: int | None = None) -> None:
        """Show how far a long call has come."""
        self._host.notify({"progress": {"label": label, "done": done, "total": total}})

    def _send(self, level: str, message: str) -> None:
        self._host.notify({"log": {"level": level, "message": message}})


class EnvironmentsApi:
    """Environments of the project, by ``variable:read`` and ``variable:write``."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def names(self) -> tuple[str, ...]:
        """Names of the project's environments (``api:call environments.names``)."""
        return tuple(self._host.ask("api.call", {"name": "environments.names"}))

    def variables(self, environment: str) -> tuple[str, ...]:
        """Names of the variables of an environment that may be read."""
        return tuple(self._host.ask("variable.list", {"environment": environment}))

    def get(self, environment: str, name: str) -> Secret:
        """Value of one variable, released for this call.

        Raises:
            PermissionDeniedError: ``variable:read`` does not cover it.
            PluginError: there is no such variable.
        """
        return Secret(self._host.ask("variable.read", {"environment": environment, "name": name}))

    def set(self, environment: str, name: str, value: Secret | str) -> None:
        """Set one variable (``variable:write``)."""
        text = value.value if isinstance(value, Secret) else value
        self._host.ask("variable.write", {"environment": environment, "name": name, "value": text})

    def delete(self, environment: str, name: str) -> None:
        """Remove one variable (``variable:write``)."""
        self._host.ask("variable.write", {"environment": environment, "name": name, "value": None})


class ConfigurationApi:
    """The instance's own configuration."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def get(self, name: str) -> str | int | bool | Secret | None:
        """One field as configured now; a secret comes as `Secret`, an unset field as None."""
        answer = self._host.ask("api.call", {"name": "configuration.get", "arguments": {"name": name}})
        if answer.get("secret"):
            return HeldSecret(self._host, name)
        value: str | int | bool | None = answer["value"]
        return value


class FilesApi:
    """Files picked by pattern. Folders and files granted by name can be opened with plain `open` as well."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def open(self, path: str, mode: str = "r") -> BinaryIO:
        """Open a granted file in binary: ``r`` needs ``file:read``, ``w`` and ``a`` need ``file:write``."""
        if mode not in {"r", "w", "a"}:
            raise PluginError(f"mode {mode!r} is none of r, w, a")
        descriptor = self._host.ask_for_file("file.open", {"path": path, "mode": mode})
        return cast("BinaryIO", os.fdopen(descriptor, f"{mode}b"))

    def read_text(self, path: str) -> str:
        """Content of a granted file (UTF-8)."""
        with self.open(path) as stream:
            return stream.read().decode()

    def write_text(self, path: str, text: str) -> None:
        """Replace the content of a granted file (UTF-8)."""
        with self.open(path, "w") as stream:
            stream.write(text.encode())

    def list(self, pattern: str) -> tuple[str, ...]:
        """Files that a ``file:read`` grant covers and that match ``pattern``."""
        return tuple(self._host.ask("file.list", {"pattern": pattern}))


class NetworkApi:
    """Connections. Ordinary libraries work as well: inside the sandbox their sockets take the same way."""

    def connect(self, host: str, port: int, timeout: float = 30.0) -> socket:
        """Connected TCP socket to a granted ``host:port``; ``timeout`` in seconds.

        Raises:
            OSError: it is refused or nothing answers.
        """
        from socket import create_connection

        return create_connection((host, port), timeout)


class CryptoApi:
    """Cryptography with a key that the host keeps for this plugin alone (``api:call crypto.*``)."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def random(self, size: int) -> bytes:
        """``size`` random bytes, at most 1024."""
        return self._bytes("crypto.random", {"size": size})

    def sign(self, data: bytes) -> bytes:
        """HMAC-SHA256 of ``data``."""
        return self._bytes("crypto.sign", {"data": base64.b64encode(data).decode()})

    def seal(self, data: bytes) -> bytes:
        """Encrypt ``data`` with authentication, for keeping it in a file."""
        return self._bytes("crypto.seal", {"data": base64.b64encode(data).decode()})

    def unseal(self, sealed: bytes) -> bytes:
        """Undo `seal`.

        Raises:
            PluginError: it was not sealed by this plugin on this host, or was changed.
        """
        return self._bytes("crypto.unseal", {"data": base64.b64encode(sealed).decode()})

    def _bytes(self, name: str, params: Mapping[str, Any]) -> bytes:
        return base64.b64decode(self._host.ask(name, params))


@dataclass(frozen=True, slots=True)
class Api:
    """Everything a plugin can ask of the host, by subject."""

    environments: EnvironmentsApi
    configuration: ConfigurationApi
    files: FilesApi
    network: NetworkApi
    crypto: CryptoApi


class Utilities:
    """Small things that most integrations need."""

    def scratch(self) -> Path:
        """Private writable folder that is gone after the call."""
        return Path(os.environ.get("TMPDIR", "/tmp"))  # noqa: S108 - the sandbox names its own folder there

    def select(self, secret: Secret, key: str) -> Secret:
        """Member ``key`` of a secret that holds a JSON object, as providers' ``name#key`` means it.

        Raises:
            PluginError: it is no JSON object, or has no such member.
        """
        import json

        try:
            member = json.loads(secret.value)[key]
        except (ValueError, KeyError, TypeError):
            raise PluginError(f"the secret is no JSON object with a member {key!r}") from None
        return Secret(member if isinstance(member, str) else json.dumps(member), secret.version)


@dataclass(frozen=True, slots=True)
class Context:
    """Handed to `Plugin.initialize`.

    Attributes:
        config: the plugin's ``config`` dataclass filled in, or a plain namespace; secrets are `Secret`.
        instance: name of the configured instance, ``default`` unless the user named another.
        api: what the host does on request.
        log: lines for the user.
        utilities: conveniences that need no permission.
    """

    config: Any
    instance: str
    api: Api
    log: Log
    utilities: Utilities = field(default_factory=Utilities)


def build_context(
    host: Host, instance: str, values: Mapping[str, Any], secrets: tuple[str, ...], kind: Any
) -> Context:
    """Put a context together.

    Args:
        host: way to the host.
        instance: name of the configured instance.
        values: configured values without secrets.
        secrets: names of configured secrets.
        kind: dataclass for ``config``, or None for a namespace.

    Raises:
        ConfigError: the dataclass has a field without default that is not configured.
    """
    everything: dict[str, Any] = dict(values) | {name: HeldSecret(host, name) for name in secrets}
    api = Api(EnvironmentsApi(host), ConfigurationApi(host), FilesApi(host), NetworkApi(), CryptoApi(host))
    return Context(_config(kind, everything), instance, api, Log(host))


def _config(kind: Any, values: Mapping[str, Any]) -> Any:
    if kind is None:
        return SimpleNamespace(**values)
    if not (isinstance(kind, type) and is_dataclass(kind)):
        raise ConfigError("config must be a dataclass")
    known = {item.name for item in fields(kind)}
    try:
        return kind(**{name: value for name, value in values.items() if name in known})
    except TypeError as error:
        raise ConfigError(f"configuration does not fit the plugin's config class: {error}") from error
