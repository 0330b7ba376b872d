"""The plugin's side of the sandbox: loads the entry point and answers the host's calls until it hangs up."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any, NamedTuple, Protocol

from envcli_sdk.context import build_context
from envcli_sdk.driving import Driver, settle
from envcli_sdk.errors import PermissionDeniedError, PluginError, SdkError, WireError
from envcli_sdk.plugin import Plugin
from envcli_sdk.routing import collect, collect_module
from envcli_sdk.secret import MASK
from envcli_sdk.wire import command_from_wire, event_from_wire, result_to_wire

MAX_MESSAGE = 2000
MAX_ATTEMPTS = 200
READ_ATTEMPT = "try-read"
WRITE_ATTEMPT = "try-write"
_OPENING = frozenset({"open", "os.listdir", "os.scandir"})
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_DEVICES = ("/dev/null", "/dev/urandom")


class HostCall(NamedTuple):
    """One call by the host: ``initialize``, ``execute``, ``handle_event`` or ``cleanup``."""

    id: int
    method: str
    params: dict[str, Any]


class Channel(Protocol):
    """What the sandbox hands to `serve`; see ``envcli_sandbox.runner.channel.GuestChannel``."""

    def receive(self) -> Any:
        """Next call (``id``, ``method``, ``params``), or None when the host has hung up."""

    def answer(self, call_id: int, result: Any) -> None:
        """Answer a call."""

    def fail(self, call_id: int, type_name: str, message: str) -> None:
        """Answer a call with an error."""

    def notify(self, notice: Mapping[str, Any]) -> None:
        """Send a notice."""

    def ask(self, name: str, params: Mapping[str, Any]) -> Any:
        """Ask the host; a refusal raises PermissionError."""

    def ask_for_fds(self, name: str, params: Mapping[str, Any]) -> tuple[Any, Sequence[int]]:
        """Ask the host for descriptors; a refusal raises PermissionError."""


def serve(channel: Channel, entry: str) -> None:
    """Answer calls until the host hangs up.

    Args:
        channel: way to the host.
        entry: ``package.module:attribute`` or ``package.module``.
    """
    if sys.flags.isolated and sys.flags.no_site:  # a bare child, not a test that serves in its own process
        sys.addaudithook(_FileWatch(channel))
    guest = _Guest(channel, entry)
    with Driver() as driver:
        while (call := channel.receive()) is not None:
            try:
                result = driver.run(guest.handle(call.method, call.params))
            except Exception as error:  # noqa: BLE001 - whatever plugin code raises is reported to the host
                channel.fail(call.id, type(error).__name__, guest.describe(error))
            else:
                channel.answer(call.id, result)


def load_plugin(entry: str) -> Plugin:
    """Import an entry point: a class is instantiated, a marked function or module collected.

    Raises:
        PluginError: it is none of these.
    """
    module_name, _, attribute = entry.partition(":")
    target: Any = importlib.import_module(module_name)
    for part in attribute.split(".") if attribute else ():
        target = getattr(target, part)
    if isinstance(target, ModuleType):
        return collect_module(target)
    if isinstance(target, type) and issubclass(target, Plugin):
        return target()
    if isinstance(target, Plugin):
        return target
    if callable(target):
        return collect(target)
    raise PluginError(
        f"entry point {entry!r} is no plugin", tip="Point it at a Plugin class or a marked function"
    )


class _Guest:
    """One plugin and the state of its life."""

    def __init__(self, channel: Channel, entry: str) -> None:
        self._host = _ChannelHost(channel)
        self._entry = entry
        self._plugin: Plugin | None = None

    async def handle(self, method: str, params: Mapping[str, Any]) -> Any:
        if method == "initialize":
            return await self._initialize(params)
        if self._plugin is None:
            raise SdkError("the plugin is not initialized")
        if method == "execute":
            return result_to_wire(
                await settle(self._plugin.execute(command_from_wire(params.get("command"))))
            )
        if method == "handle_event":
            return await settle(self._plugin.handle_event(event_from_wire(params.get("event"))))
        if method == "cleanup":
            plugin, self._plugin = self._plugin, None
            return await settle(plugin.cleanup())
        raise WireError(f"unknown call {method!r}")

    async def _initialize(self, params: Mapping[str, Any]) -> None:
        plugin = load_plugin(self._entry)
        secrets = tuple(params.get("secrets", ()))
        context = build_context(
            self._host, params.get("instance", "default"), params["config"], secrets, plugin.config
        )
        await settle(plugin.initialize(context))
        self._plugin = plugin

    def describe(self, error: Exception) -> str:
        """The error as text, with every secret that the host released masked."""
        text = str(error) or type(error).__name__
        for value in self._host.released:
            text = text.replace(value, MASK)
        return text[:MAX_MESSAGE]


class _FileWatch:
    """Tells the host once of each path outside the plugin's own folders that is about to be opened.

    It confines nothing: the kernel does. It only gives the refusals of the kernel, which are silent, a name.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._seen: set[str] = set()
        scratch = os.environ.get("TMPDIR", "")
        self._writable = (*_DEVICES, *((f"{scratch}/",) if scratch else ()))
        self._readable = (*self._writable, *(folder for folder in sys.path if folder))

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        """An audit hook (PEP 578)."""
        if event not in _OPENING or len(self._seen) >= MAX_ATTEMPTS or not arguments:
            return
        path = arguments[0]
        if not isinstance(path, (str, bytes)):
            return
        path = os.path.abspath(os.fsdecode(path))  # noqa: PTH100 - runs for every open
        writes = event == "open" and isinstance(arguments[2], int) and bool(arguments[2] & _WRITING)
        if path.startswith(self._writable if writes else self._readable) or path in self._seen:
            return
        self._seen.add(path)
        self._channel.notify({"log": {"level": WRITE_ATTEMPT if writes else READ_ATTEMPT, "message": path}})


class _ChannelHost:
    """`envcli_sdk.context.Host` over a channel."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self.released: set[str] = set()

    def ask(self, name: str, params: Mapping[str, Any]) -> Any:
        answer, descriptors = self._exchange(name, params)
        for descriptor in descriptors:
            os.close(descriptor)
        if name in {"variable.read", "config.get"} and isinstance(answer, str) and answer:
            self.released.add(answer)
        return answer

    def ask_for_file(self, name: str, params: Mapping[str, Any]) -> int:
        _, descriptors = self._exchange(name, params)
        if len(descriptors) != 1:
            raise WireError(f"{name} was answered without its descriptor")
        return descriptors[0]

    def notify(self, notice: Mapping[str, Any]) -> None:
        self._channel.notify(notice)

    def _exchange(self, name: str, params: Mapping[str, Any]) -> tuple[Any, Sequence[int]]:
        try:
            return self._channel.ask_for_fds(name, params)
        except PermissionError as error:
            raise PermissionDeniedError(str(error)) from error
        except Exception as error:
            if hasattr(error, "type_name"):
                raise PluginError(str(error)) from error
            raise
