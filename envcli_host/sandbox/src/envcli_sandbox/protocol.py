"""Frames between host and child.

A frame is a 4-byte little-endian length and that many bytes of UTF-8 JSON: one object, at most 1 MiB. File
descriptors travel beside it (``SCM_RIGHTS``, unix(7)), and the object then says ``"fds": n``.

* host to child, first frame: the policy
* child to host, first frame: ``{"ready": {"tier", "mechanisms"}}`` or ``{"refused": why}``
* host to child: ``{"id", "call", "params"}``, and answers ``{"id", "result" | "denied" | "error"}``
* child to host: ``{"id", "result" | "error"}``, asks ``{"id", "ask", "params"}``, and the notices
  ``{"log": {…}}`` and ``{"progress": {…}}``
"""

import array
import json
import os
import socket
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, NoReturn

from envcli_sandbox.errors import ProtocolError, SandboxError

MAX_FRAME_BYTES = 1 << 20
MAX_FDS = 4
_HEADER_BYTES = 4
_CHUNK_BYTES = 1 << 16


class ChannelClosedError(SandboxError):
    """The other end is gone, so nothing can be sent to it any more."""


class Frame(NamedTuple):
    """One received object and the descriptors that came with it."""

    message: dict[str, Any]
    fds: tuple[int, ...] = ()


def encode_frame(message: Mapping[str, Any]) -> bytes:
    """Return ``message`` as one frame.

    Raises:
        ProtocolError: it is no JSON object, or larger than a frame may be.
    """
    try:
        body = json.dumps(message, separators=(",", ":"), allow_nan=False, ensure_ascii=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ProtocolError(f"a message cannot be sent as JSON: {type(error).__name__}") from None
    if len(body) > MAX_FRAME_BYTES:
        raise ProtocolError(
            f"a message has {len(body)} bytes; a frame holds {MAX_FRAME_BYTES}. Send it in parts"
        )
    return len(body).to_bytes(_HEADER_BYTES, "little") + body


def parse_frame(body: bytes) -> dict[str, Any]:
    """Parse the body of one frame.

    Raises:
        ProtocolError: it is not exactly one JSON object in UTF-8, repeats a key, or holds a number or text
            that JSON (RFC 8259) does not know.
    """
    try:
        text = body.decode("utf-8")
        message = json.loads(text, object_pairs_hook=_without_repeats, parse_constant=_refuse_constant)
        if "\\ud" in text.lower():
            json.dumps(message, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"a frame is not valid JSON ({type(error).__name__})") from None
    if not isinstance(message, dict):
        raise ProtocolError("a frame is not a JSON object")
    return message


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("repeated key")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


class Channel:
    """One end of the socket. Sending is safe from several threads, receiving belongs to one at a time."""

    def __init__(self, sock: socket.socket, *, accepts_fds: bool = False) -> None:
        """Take over ``sock``; unless ``accepts_fds``, the kernel drops descriptors on arrival."""
        self.accepts_fds = accepts_fds
        self._socket = sock
        self._buffer = bytearray()
        self._fds: list[int] = []
        self._sending = threading.Lock()

    def send(self, message: Mapping[str, Any], fds: Sequence[int] = ()) -> None:
        """Send ``message`` and duplicates of ``fds``.

        Raises:
            ProtocolError: the message cannot be a frame.
            ChannelClosedError: the other end is gone.
        """
        frame = memoryview(encode_frame({**message, "fds": len(fds)} if fds else message))
        try:
            with self._sending:
                sent = socket.send_fds(self._socket, [frame], list(fds)) if fds else 0
                self._socket.sendall(frame[sent:])
        except OSError:
            raise ChannelClosedError("the other end of the channel is gone") from None

    def receive(self) -> Frame | None:
        """Return the next frame, or None at the end of the stream.

        Raises:
            ProtocolError: the stream ended inside a frame, or the frame breaks a rule.
        """
        if not self._fill(_HEADER_BYTES):
            return None
        size = int.from_bytes(self._buffer[:_HEADER_BYTES], "little")
        if size > MAX_FRAME_BYTES:
            raise ProtocolError(f"a frame announces {size} bytes; at most {MAX_FRAME_BYTES} are allowed")
        if not self._fill(_HEADER_BYTES + size):
            raise ProtocolError("the stream ended inside a frame")
        message = parse_frame(bytes(self._buffer[_HEADER_BYTES : _HEADER_BYTES + size]))
        del self._buffer[: _HEADER_BYTES + size]
        return Frame(message, self._take_fds(message.get("fds", 0)))

    def shut(self) -> None:
        """Tell the other end that nothing more comes, and drop what it still sends."""
        with suppress(OSError):  # it may be gone already
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the socket and descriptors nobody took."""
        self._socket.close()
        while self._fds:
            os.close(self._fds.pop())

    def _take_fds(self, count: object) -> tuple[int, ...]:
        """Return the descriptors that belong to a frame which announced ``count``."""
        if type(count) is not int or not 0 <= count <= MAX_FDS:
            raise ProtocolError("a frame announces an impossible number of descriptors")
        if count and not self.accepts_fds:
            raise ProtocolError("a frame carries descriptors where none are accepted")
        if count > len(self._fds):
            raise ProtocolError(f"a frame announces {count} descriptors and {len(self._fds)} came")
        taken, self._fds = self._fds[:count], self._fds[count:]
        return tuple(taken)

    def _fill(self, size: int) -> bool:
        """Read until ``size`` bytes are buffered. Return False at a clean end of the stream."""
        while len(self._buffer) < size:
            chunk = self._read()
            if not chunk:
                if self._buffer:
                    raise ProtocolError("the stream ended inside a frame")
                return False
            self._buffer += chunk
        return True

    def _read(self) -> bytes:
        try:
            if not self.accepts_fds:
                return self._socket.recv(_CHUNK_BYTES)
            room = socket.CMSG_SPACE(MAX_FDS * array.array("i").itemsize)
            chunk, ancillary, flags, _ = self._socket.recvmsg(_CHUNK_BYTES, room, socket.MSG_CMSG_CLOEXEC)
        except OSError:  # the other end is gone, with or without having read everything
            return b""
        for level, kind, payload in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                fds = array.array("i")
                fds.frombytes(payload[: len(payload) - len(payload) % fds.itemsize])
                self._fds.extend(fds)
        if flags & socket.MSG_CTRUNC:
            raise ProtocolError(f"more than {MAX_FDS} descriptors came at once")
        return chunk
