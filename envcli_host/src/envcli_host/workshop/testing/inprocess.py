"""The guest in a thread of this process: quick, debuggable, and still held to the grants.

Asks go through the same broker as in the sandbox. Connections are checked by an audit hook (PEP 578), which only
looks at the guest's own thread; files are not checked, for that is the kernel's part.
"""

import sys
import threading
from collections.abc import Mapping, Sequence
from queue import SimpleQueue
from types import TracebackType
from typing import Any, NamedTuple, Self

from envcli_sandbox import Reply, SandboxCallError
from envcli_sandbox.runner.channel import AskFailedError, DeniedError
from envcli_sdk.guest import serve

from envcli_host.workshop.testing.broker import RecordingBroker

_guest = threading.local()


class _Call(NamedTuple):
    id: int
    method: str
    params: dict[str, Any]


class _Answer(NamedTuple):
    result: Any
    failure: SandboxCallError | None = None
    cause: BaseException | None = None


class InProcessGuest:
    """Runs the SDK's guest loop in a thread and calls it."""

    def __init__(self, entry: str, broker: RecordingBroker) -> None:
        self._entry = entry
        self._broker = broker
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        self._answers: SimpleQueue[_Answer] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=f"guest {entry}", daemon=True)

    def call(self, method: str, params: dict[str, Any]) -> Any:
        """Call the guest and return its JSON answer.

        Raises:
            SandboxCallError: the plugin raised; the original exception is its cause.
        """
        self._calls.put(_Call(0, method, params))
        answer = self._answers.get()
        if answer.failure is not None:
            raise answer.failure from answer.cause
        return answer.result

    def receive(self) -> _Call | None:
        """Guest side: the next call."""
        return self._calls.get()

    def answer(self, call_id: int, result: Any) -> None:  # noqa: ARG002 - the channel's signature
        """Guest side: a result."""
        self._answers.put(_Answer(result))

    def fail(self, call_id: int, type_name: str, message: str) -> None:  # noqa: ARG002 - the channel's signature
        """Guest side: a failure."""
        self._answers.put(_Answer(None, SandboxCallError(type_name, message), sys.exception()))

    def notify(self, notice: Mapping[str, Any]) -> None:
        """Guest side: a log line or progress."""
        for kind, payload in notice.items():
            self._broker.notice(kind, payload)

    def ask(self, name: str, params: Mapping[str, Any]) -> Any:
        """Guest side: ask the broker."""
        return self.ask_for_fds(name, params)[0]

    def ask_for_fds(self, name: str, params: Mapping[str, Any]) -> tuple[Any, Sequence[int]]:
        """Guest side: ask the broker for something that may come with descriptors."""
        reply: Reply = self._broker.handle(name, params)
        if reply.denied is not None:
            raise DeniedError(reply.denied)
        if reply.failed is not None:
            raise AskFailedError(*reply.failed)
        return reply.result, reply.fds

    def __enter__(self) -> Self:
        _install_hook()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._calls.put(None)
        self._thread.join(timeout=10)

    def _run(self) -> None:
        _guest.broker = self._broker
        try:
            serve(self, self._entry)
        except BaseException as error:  # noqa: BLE001 - whatever ends the guest ends the call that waits for it
            self._answers.put(_Answer(None, SandboxCallError(type(error).__name__, str(error)), error))


def _install_hook() -> None:
    if not getattr(_install_hook, "done", False):
        sys.addaudithook(_check_connection)
        _install_hook.done = True  # type: ignore[attr-defined]


def _check_connection(event: str, arguments: tuple[Any, ...]) -> None:
    broker: RecordingBroker | None = getattr(_guest, "broker", None)
    if broker is None or event not in {"socket.getaddrinfo", "socket.connect"}:
        return
    if event == "socket.getaddrinfo":
        _guest.asked = str(arguments[0])
        return
    address = arguments[1]
    if not isinstance(address, tuple):
        return
    host = _named(str(address[0]))
    if not broker.allows_connection(host, int(address[1])):
        broker.denied.append(f"network.connect {host}:{address[1]}")
        raise PermissionError(f"network:connect {host}:{address[1]} is not granted")


def _named(address: str) -> str:
    """The name that the guest resolved just before, where ``address`` may belong to it."""
    import ipaddress

    asked: str = getattr(_guest, "asked", address)
    try:
        ipaddress.ip_address(asked)
    except ValueError:
        return asked
    return address
