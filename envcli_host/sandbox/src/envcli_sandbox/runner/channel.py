"""The child's end of the socket: what the guest uses to hear calls, answer them and ask the host."""

import threading
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from envcli_sandbox.errors import ProtocolError, SandboxError
from envcli_sandbox.protocol import Channel, Frame

_CALLS = -1


class Call(NamedTuple):
    """One call by the host."""

    id: int
    method: str
    params: dict[str, Any]


class DeniedError(PermissionError):
    """The host refused an ask; the message is its reason."""


class AskFailedError(SandboxError):
    """The host tried to do what was asked and failed.

    Attributes:
        type_name: kind of the failure as the host names it, for sockets an errno name (``ECONNREFUSED``).
    """

    def __init__(self, type_name: str, message: str) -> None:
        """Keep the failure's kind beside its message."""
        super().__init__(message)
        self.type_name = type_name


class GuestChannel:
    """Calls in, answers and asks out. Any thread may ask; one thread (the guest's loop) receives calls."""

    def __init__(self, channel: Channel) -> None:
        """Take over ``channel``."""
        self._channel = channel
        self._turn = threading.Condition()
        self._reading = False
        self._closed = False
        self._arrived: dict[int, Frame] = {}
        self._calls: list[Frame] = []
        self._next_ask = 0

    def receive(self) -> Call | None:
        """Return the next call of the host, or None when the host has closed the socket.

        Raises:
            ProtocolError: the host sent something that is not a call.
        """
        frame = self._await(_CALLS)
        if frame is None:
            return None
        message = frame.message
        return Call(message["id"], message["call"], message.get("params") or {})

    def answer(self, call_id: int, result: Any) -> None:
        """Answer a call with a JSON value."""
        self._channel.send({"id": call_id, "result": result})

    def fail(self, call_id: int, type_name: str, message: str) -> None:
        """Answer a call with an error."""
        self._channel.send({"id": call_id, "error": {"type": type_name, "message": message}})

    def notify(self, notice: Mapping[str, Any]) -> None:
        """Send ``{"log": {...}}`` or ``{"progress": {...}}``; the host does not answer."""
        self._channel.send(notice)

    def ask(self, name: str, params: Mapping[str, Any]) -> Any:
        """Ask the host for something and return its JSON answer.

        Raises:
            DeniedError: the host refused.
            AskFailedError: the host allowed it, and it failed.
        """
        result, fds = self.ask_for_fds(name, params)
        if fds:
            raise ProtocolError(f"the answer to {name} carried descriptors; use ask_for_fds")
        return result

    def ask_for_fds(self, name: str, params: Mapping[str, Any]) -> tuple[Any, Sequence[int]]:
        """Ask the host, and return its answer with the descriptors that came with it; the caller closes them.

        Raises:
            DeniedError: the host refused.
            AskFailedError: the host allowed it, and it failed.
        """
        with self._turn:
            self._next_ask += 1
            ask_id = self._next_ask
        self._channel.send({"id": ask_id, "ask": name, "params": dict(params)})
        frame = self._await(ask_id)
        if frame is None:
            raise DeniedError("the host has closed the socket")
        message = frame.message
        if "denied" in message:
            raise DeniedError(str(message["denied"]))
        if "error" in message:
            raise AskFailedError(str(message["error"]["type"]), str(message["error"]["message"]))
        return message.get("result"), frame.fds

    def _await(self, key: int) -> Frame | None:
        """Return the next frame meant for ``key``; whoever waits and finds nobody reading reads for all."""
        while True:
            with self._turn:
                while self._reading and not self._has(key):
                    self._turn.wait()
                if self._has(key):
                    return self._take(key)
                if self._closed:
                    return None
                self._reading = True
            self._read_one()

    def _has(self, key: int) -> bool:
        return bool(self._calls) if key == _CALLS else key in self._arrived

    def _take(self, key: int) -> Frame:
        return self._calls.pop(0) if key == _CALLS else self._arrived.pop(key)

    def _read_one(self) -> None:
        frame = None
        try:
            frame = self._channel.receive()
        finally:
            with self._turn:
                self._reading = False
                self._file(frame)
                self._turn.notify_all()

    def _file(self, frame: Frame | None) -> None:
        if frame is None:
            self._closed = True
        elif "call" in frame.message:
            self._calls.append(frame)
        else:
            self._arrived[frame.message["id"]] = frame
