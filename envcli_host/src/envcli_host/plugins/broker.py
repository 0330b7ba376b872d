"""Answers what a sandboxed plugin asks for: each kind of ask is decided by one small method.

The sandbox audits every answer with its subject, so nothing here writes the log for an ask.
"""

import base64
import binascii
import json
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import quote

from envcli_sandbox.broker import NetworkConnector, Reply
from envcli_sandbox.output import sanitise
from envcli_sdk.permissions import PermissionName, PermissionRequest
from envcli_sdk.secret import MASK, Secret

from envcli_host.environments.steering import steers_programs
from envcli_host.errors import EnvcliError
from envcli_host.plugins.access import ProjectAccess
from envcli_host.plugins.errors import GrantError
from envcli_host.plugins.file_scopes import FileScope, list_granted, open_granted
from envcli_host.plugins.instances import InstanceConfig, VariableReference
from envcli_host.plugins.vault import MAX_DATA, MAX_RANDOM, PluginVault, random_bytes

MAX_NAME = 256
_SHORTEST, _SHORTEST_LINE = 4, 12
_CUT_FROM = 1900
Notice = Callable[[str, str], None]


class Redactor:
    """Masks values that were released to a plugin wherever they come back as text.

    Besides the value itself that is: its lines, and how a traceback, a URL and a header would spell it. Code that
    wants to hide a value can always do so; this is for what happens by accident.
    """

    def __init__(self) -> None:
        self._values: set[str] = set()

    def remember(self, value: str) -> None:
        """Mask ``value`` from now on; very short ones would mask everything and tell nothing."""
        spellings = (
            value,
            sanitise(value),
            repr(value)[1:-1],
            json.dumps(value)[1:-1],
            quote(value, safe=""),
        )
        self._values.update(item for item in spellings if len(item) >= _SHORTEST)
        self._values.update(line for line in value.splitlines() if len(line) >= _SHORTEST_LINE)

    def clean(self, text: str) -> str:
        """``text`` with every remembered value masked."""
        for value in sorted(self._values, key=len, reverse=True):
            text = text.replace(value, MASK)
        return self._without_cut(text) if len(text) >= _CUT_FROM else text

    def _without_cut(self, text: str) -> str:
        """``text`` without a value's beginning at its end, where whoever sent it had to cut it."""
        for value in self._values:
            begins = text.rfind(value[:_SHORTEST])
            if begins >= 0 and value.startswith(text[begins:]):
                return text[:begins] + MASK
        return text


class PluginBroker:
    """Decides for one session of one plugin.

    Args:
        grants: resolved permissions that are in force.
        files: the file scopes among them.
        config: the instance's configuration, secrets included.
        project: whose environments may be asked for, or None.
        vault: the plugin's cryptography.
        redactor: told of every value that is released.
        notice: takes (level, message) of the plugin's log lines.
    """

    def __init__(
        self,
        grants: Iterable[PermissionRequest],
        files: tuple[FileScope, ...],
        config: InstanceConfig,
        project: ProjectAccess | None,
        vault: PluginVault,
        redactor: Redactor,
        notice: Notice,
    ) -> None:
        self._grants = tuple(grants)
        self._files = files
        self._config = config
        self._project = project
        self._vault = vault
        self._redactor = redactor
        self._notice = notice
        self._network = NetworkConnector(self._scopes(PermissionName.NETWORK_CONNECT))
        self._handlers: dict[str, Callable[[Mapping[str, Any]], Reply]] = {
            "api.call": self._api_call,
            "config.get": self._config_get,
            "crypto.random": self._crypto_random,
            "crypto.seal": lambda params: self._crypto("seal", self._vault.seal, params),
            "crypto.sign": lambda params: self._crypto("sign", self._vault.sign, params),
            "crypto.unseal": lambda params: self._crypto("unseal", self._vault.unseal, params),
            "file.list": self._file_list,
            "file.open": self._file_open,
            "network.connect": self._network.handle,
            "variable.list": self._variable_list,
            "variable.read": self._variable_read,
            "variable.write": self._variable_write,
        }

    def handle(self, ask: str, params: Mapping[str, Any]) -> Reply:
        """Decide one ask; whatever is unknown or malformed is refused."""
        handler = self._handlers.get(ask)
        if handler is None:
            return Reply(denied=f"{ask} is unknown to this host", subject=ask)
        try:
            return handler(params)
        except _MalformedAskError as error:
            return Reply(denied=f"{ask}: {error}", subject=ask)
        except EnvcliError as error:
            return Reply(failed=(type(error).__name__, error.message), subject=ask)

    def notice(self, kind: str, payload: Mapping[str, Any]) -> None:
        """Pass a log line on, with released values masked. Progress is not shown."""
        if kind == "log":
            message = self._redactor.clean(str(payload.get("message")))
            self._notice(str(payload.get("level"))[:10], message[:2000])

    def readable(self, environment: str, name: str) -> bool:
        """Whether ``variable:read`` covers a variable."""
        return self._covers_variable(PermissionName.VARIABLE_READ, environment, name)

    def _variable_read(self, params: Mapping[str, Any]) -> Reply:
        environment, name = _text(params, "environment"), _text(params, "name")
        subject = f"{environment}:{name}"
        if not self.readable(environment, name):
            return Reply(denied=f"variable:read {subject} is not granted", subject=subject)
        value = self._values(environment).get(name)
        if value is None:
            return Reply(failed=("NotFound", f"there is no variable {subject}"), subject=subject)
        self._redactor.remember(value)
        return Reply(result=value, subject=subject)

    def _variable_write(self, params: Mapping[str, Any]) -> Reply:
        environment, name, value = _text(params, "environment"), _text(params, "name"), params.get("value")
        subject = f"{environment}:{name}"
        if value is not None and not isinstance(value, str):
            raise _MalformedAskError("value is neither text nor null")
        if value is not None and "\0" in value:
            raise _MalformedAskError("value holds a NUL byte, which no process can be given")
        if not self._may_write(environment, name):
            return Reply(denied=f"variable:write {subject} is not granted", subject=subject)
        self._required_project().update(environment, {name: value})
        return Reply(result=None, subject=subject)

    def _may_write(self, environment: str, name: str) -> bool:
        """Whether ``variable:write`` covers a variable; those that steer programs must be spelled out in a grant."""
        scopes = self._scopes(PermissionName.VARIABLE_WRITE)
        if steers_programs(name):
            scopes = [scope for scope in scopes if scope.rpartition(":")[2] == name]
        return any(_variable_matches(scope, environment, name) for scope in scopes)

    def _variable_list(self, params: Mapping[str, Any]) -> Reply:
        environment = _text(params, "environment")
        granted = self._scopes(PermissionName.VARIABLE_READ)
        if not any(_environment_matches(scope, environment) for scope in granted):
            return Reply(denied=f"variable:read {environment}:* is not granted", subject=environment)
        names = [name for name in self._values(environment) if self.readable(environment, name)]
        return Reply(result=sorted(names), subject=environment)

    def _config_get(self, params: Mapping[str, Any]) -> Reply:
        name = _text(params, "name")
        source = self._config.secrets.get(name)
        if source is None:
            return Reply(denied=f"config.{name} is no configured secret", subject=name)
        if isinstance(source, Secret):
            self._redactor.remember(source.value)
            return Reply(result=source.value, subject=name)
        return self._referenced(name, source)

    def _referenced(self, name: str, source: VariableReference) -> Reply:
        subject = f"{name} from {source}"
        value = self._values(source.environment).get(source.name)
        if value is None:
            return Reply(
                failed=("NotFound", f"config.{name} refers to {source}, which is not set"), subject=subject
            )
        self._redactor.remember(value)
        return Reply(result=value, subject=subject)

    def _file_open(self, params: Mapping[str, Any]) -> Reply:
        path, mode = _text(params, "path", limit=4096), _text(params, "mode")
        if mode not in {"r", "w", "a"}:
            raise _MalformedAskError("mode is none of r, w, a")
        try:
            root = self._project.root if self._project is not None else None
            descriptor = open_granted(path, mode, self._files, root)
        except (PermissionError, GrantError) as error:
            return Reply(denied=str(error), subject=path)
        except OSError as error:
            return Reply(failed=("OSError", error.strerror or str(error)), subject=path)
        return Reply(result={}, fds=(descriptor,), subject=path)

    def _file_list(self, params: Mapping[str, Any]) -> Reply:
        pattern = _text(params, "pattern", limit=4096)
        if not any(not scope.writable for scope in self._files):
            return Reply(denied=f"file:read {pattern} is not granted", subject=pattern)
        root = self._project.root if self._project is not None else None
        return Reply(result=sorted(list_granted(pattern, self._files, root)), subject=pattern)

    def _api_call(self, params: Mapping[str, Any]) -> Reply:
        name, arguments = _text(params, "name"), params.get("arguments", {})
        if name == "configuration.get" and isinstance(arguments, dict):
            return self._configured(_text(arguments, "name"))
        if not self._covers_api(name):
            return Reply(denied=f"api:call {name} is not granted", subject=name)
        if name == "environments.names":
            return Reply(result=list(self._required_project().environments()), subject=name)
        return Reply(denied=f"api:call {name} is unknown to this host", subject=name)

    def _configured(self, name: str) -> Reply:
        """A plugin's own configuration needs no permission; a secret is released by ``config.get`` only."""
        answer = {"secret": name in self._config.secrets, "value": self._config.values.get(name)}
        return Reply(result=answer, subject=f"configuration.get {name}")

    def _crypto_random(self, params: Mapping[str, Any]) -> Reply:
        size = params.get("size")
        if type(size) is not int or not 0 < size <= MAX_RANDOM:
            raise _MalformedAskError(f"size is not between 1 and {MAX_RANDOM}")
        if not self._covers_api("crypto.random"):
            return Reply(denied="api:call crypto.random is not granted", subject="crypto.random")
        return Reply(result=base64.b64encode(random_bytes(size)).decode(), subject="crypto.random")

    def _crypto(self, name: str, work: Callable[[bytes], bytes], params: Mapping[str, Any]) -> Reply:
        subject = f"crypto.{name}"
        if not self._covers_api(subject):
            return Reply(denied=f"api:call {subject} is not granted", subject=subject)
        try:
            data = base64.b64decode(_text(params, "data", limit=MAX_DATA), validate=True)
            return Reply(result=base64.b64encode(work(data)).decode(), subject=subject)
        except binascii.Error:
            raise _MalformedAskError("data is not Base64") from None
        except ValueError as error:
            return Reply(failed=("ValueError", str(error)), subject=subject)

    def _scopes(self, permission: PermissionName) -> list[str]:
        return [grant.scope for grant in self._grants if grant.permission is permission]

    def _covers_variable(self, permission: PermissionName, environment: str, name: str) -> bool:
        return any(_variable_matches(scope, environment, name) for scope in self._scopes(permission))

    def _covers_api(self, name: str) -> bool:
        scopes = self._scopes(PermissionName.API_CALL)
        return any(
            scope in {"*", name} or (scope.endswith(".*") and name.startswith(scope[:-1])) for scope in scopes
        )

    def _values(self, environment: str) -> Mapping[str, str]:
        return self._required_project().values(environment)

    def _required_project(self) -> ProjectAccess:
        if self._project is None:
            raise EnvcliError(
                "there is no project here", remedy="Run it inside a project, or run: envcli init"
            )
        return self._project


class _MalformedAskError(Exception):
    """An ask lacks a parameter, or one has the wrong type."""


def _text(params: Mapping[str, Any], key: str, limit: int = MAX_NAME) -> str:
    value = params.get(key)
    if not isinstance(value, str) or not value or len(value) > limit or "\0" in value:
        raise _MalformedAskError(f"{key} is no text of 1 to {limit} characters")
    return value


def _environment_matches(scope: str, environment: str) -> bool:
    head, colon, _ = scope.partition(":")
    return not colon or fnmatchcase(environment, head)


def _variable_matches(scope: str, environment: str, name: str) -> bool:
    head, colon, tail = scope.partition(":")
    return _environment_matches(scope, environment) and fnmatchcase(name, tail if colon else head)
