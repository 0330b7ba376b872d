"""Run a plugin in a test, in this process and without a host, but with everything sent over the wire.

::

    with running(AwsSecretsManager, config={"region": "eu-west-1"}) as plugin:
        assert plugin.pull("prod")["TOKEN"].value == "s3cr3t"

There is no sandbox here: use `envcli plugin dev` for that.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from envcli_sdk.commands import (
    Changes,
    Command,
    CommandResult,
    CustomCommand,
    Direction,
    EnvironmentSync,
    EnvironmentValidation,
    Event,
    Finding,
    Result,
    SyncResult,
    ValidationResult,
    Var,
)
from envcli_sdk.context import build_context
from envcli_sdk.driving import Driver, settle
from envcli_sdk.errors import PermissionDeniedError, PluginError
from envcli_sdk.guest import load_plugin
from envcli_sdk.plugin import Plugin
from envcli_sdk.secret import Secret
from envcli_sdk.wire import (
    command_from_wire,
    command_to_wire,
    event_from_wire,
    event_to_wire,
    result_from_wire,
    result_to_wire,
)

_T = TypeVar("_T")


@dataclass
class FakeHost:
    """A small working host: environments in memory, files on disk, one key.

    Attributes:
        environments: environment → variable → value; plugins may change it.
        config: plain configuration by field name.
        secrets: configured secrets by field name.
        denied: asks that are refused, by name (``variable.read``) or name and subject (``variable.read prod:TOKEN``).
        asked: (name, parameters) of every ask, in order.
        notices: every log line and progress, in order.
    """

    environments: dict[str, dict[str, str]] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    denied: set[str] = field(default_factory=set)
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    notices: list[dict[str, Any]] = field(default_factory=list)
    key: bytes = field(default_factory=lambda: os.urandom(32))

    def ask(self, name: str, params: Mapping[str, Any]) -> Any:
        """Answer as a host does that granted everything but what is in ``denied``."""
        self._note(name, params)
        answer = getattr(self, "_" + name.replace(".", "_"), None)
        if answer is None:
            raise PermissionDeniedError(f"{name} is unknown to this host")
        return answer(params)

    def ask_for_file(self, name: str, params: Mapping[str, Any]) -> int:
        """Open a real file."""
        self._note(name, params)
        flags = {"r": os.O_RDONLY, "w": os.O_WRONLY | os.O_CREAT | os.O_TRUNC, "a": os.O_WRONLY | os.O_APPEND}
        try:
            return os.open(params["path"], flags[params["mode"]], 0o600)
        except OSError as error:
            raise PluginError(str(error)) from error

    def notify(self, notice: Mapping[str, Any]) -> None:
        """Keep the notice."""
        self.notices.append(dict(notice))

    def _note(self, name: str, params: Mapping[str, Any]) -> None:
        self.asked.append((name, dict(params)))
        subject = params.get("name", params.get("path", params.get("pattern", "")))
        if "environment" in params:
            subject = f"{params['environment']}:{params.get('name', '*')}"
        if self.denied & {name, f"{name} {subject}"}:
            raise PermissionDeniedError(f"{name} {subject} is not granted")

    def _variable_read(self, params: Mapping[str, Any]) -> str:
        try:
            return self.environments[params["environment"]][params["name"]]
        except KeyError:
            raise PluginError(f"there is no variable {params['environment']}:{params['name']}") from None

    def _variable_write(self, params: Mapping[str, Any]) -> None:
        variables = self.environments[params["environment"]]
        variables.pop(params["name"], None)
        if params["value"] is not None:
            variables[params["name"]] = params["value"]

    def _variable_list(self, params: Mapping[str, Any]) -> list[str]:
        return sorted(self.environments[params["environment"]])

    def _config_get(self, params: Mapping[str, Any]) -> str:
        return self.secrets[params["name"]]

    def _api_call(self, params: Mapping[str, Any]) -> Any:
        if params["name"] == "environments.names":
            return sorted(self.environments)
        name = params["arguments"]["name"]
        return {"secret": name in self.secrets, "value": self.config.get(name)}

    def _crypto_random(self, params: Mapping[str, Any]) -> str:
        return base64.b64encode(os.urandom(params["size"])).decode()

    def _crypto_sign(self, params: Mapping[str, Any]) -> str:
        return base64.b64encode(hmac.digest(self.key, base64.b64decode(params["data"]), "sha256")).decode()

    def _crypto_seal(self, params: Mapping[str, Any]) -> str:
        """Not secret, as a test needs none, but as unforgeable as the real thing."""
        data = base64.b64decode(params["data"])
        return base64.b64encode(hmac.digest(self.key, data, "sha256") + data).decode()

    def _crypto_unseal(self, params: Mapping[str, Any]) -> str:
        sealed = base64.b64decode(params["data"])
        size = hashlib.sha256().digest_size
        if not hmac.compare_digest(sealed[:size], hmac.digest(self.key, sealed[size:], "sha256")):
            raise PluginError("the data was not sealed by this plugin on this host, or was changed")
        return base64.b64encode(sealed[size:]).decode()


class RunningPlugin:
    """An initialized plugin; every command and result goes through its JSON form."""

    def __init__(self, plugin: Plugin, host: FakeHost, driver: Driver) -> None:
        self.plugin = plugin
        self.host = host
        self._driver = driver

    def execute(self, command: Command) -> Result:
        """Carry out any command."""
        sent = command_from_wire(_through_json(command_to_wire(command)))
        result = self._driver.run(self._settled(sent))
        return result_from_wire(_through_json(result_to_wire(result)), command)

    async def _settled(self, command: Command) -> Result:
        return await settle(self.plugin.execute(command))

    def pull(self, remote: str) -> Mapping[str, Secret]:
        """Read a remote environment."""
        result = self.execute(EnvironmentSync(Direction.pull, remote))
        return _typed(SyncResult, result).variables

    def push(self, remote: str, changes: Mapping[str, str | None]) -> tuple[str, ...]:
        """Write to a remote environment; None deletes. Return the names that were changed."""
        secrets = {name: Secret(value) for name, value in changes.items() if value is not None}
        deleted = tuple(name for name, value in changes.items() if value is None)
        command = EnvironmentSync(Direction.push, remote, Changes(secrets, deleted))
        return _typed(SyncResult, self.execute(command)).changed

    def validate(self, variables: Mapping[str, str], environment: str = "test") -> tuple[Finding, ...]:
        """Run the plugin's rules over variables."""
        found = tuple(Var(name, value, environment) for name, value in variables.items())
        return _typed(ValidationResult, self.execute(EnvironmentValidation(environment, found))).findings

    def run(self, name: str, *words: str, kind: str = "command", dry_run: bool = False) -> CommandResult:
        """Run a command, workflow or report."""
        return _typed(CommandResult, self.execute(CustomCommand(name, words, kind, dry_run)))

    def publish(self, name: str, data: Mapping[str, Any] | None = None) -> None:
        """Tell the plugin of an event."""
        event = event_from_wire(_through_json(event_to_wire(Event(name, data or {}))))
        self._driver.run(settle(self.plugin.handle_event(event)))


@contextmanager
def running(
    plugin: type[Plugin] | Plugin | str,
    *,
    config: Mapping[str, Any] | None = None,
    secrets: Mapping[str, str] | None = None,
    environments: Mapping[str, Mapping[str, str]] | None = None,
    denied: Sequence[str] = (),
    instance: str = "default",
) -> Iterator[RunningPlugin]:
    """Initialize a plugin, hand it out, clean it up.

    Args:
        plugin: class, instance (for example from `collect`) or entry point ``package.module:attribute``.
        config: plain configuration.
        secrets: configured secrets.
        environments: the project's environments.
        denied: asks to refuse; see `FakeHost.denied`.
        instance: name of the configured instance.
    """
    made = (
        load_plugin(plugin) if isinstance(plugin, str) else plugin() if isinstance(plugin, type) else plugin
    )
    copied = {name: dict(values) for name, values in (environments or {}).items()}
    host = FakeHost(copied, dict(config or {}), dict(secrets or {}), set(denied))
    context = build_context(host, instance, host.config, tuple(host.secrets), made.config)
    with Driver() as driver:
        driver.run(settle(made.initialize(context)))
        try:
            yield RunningPlugin(made, host, driver)
        finally:
            driver.run(settle(made.cleanup()))


def _through_json(value: Any) -> Any:
    return json.loads(json.dumps(value))


def _typed(kind: type[_T], result: Result) -> _T:
    assert isinstance(result, kind), f"the plugin answered with {type(result).__name__}"  # noqa: S101 - for tests
    return result
