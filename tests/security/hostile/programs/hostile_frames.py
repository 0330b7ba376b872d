"""Speak to the host past the channel: the socket itself, and whatever bytes are wished."""

import _socket
import gc
import os
import socket
import time
from typing import Any

FRAMES = {
    "garbage": b"\xff" * 64,
    "oversized": (1 << 31).to_bytes(4, "little"),
    "just-too-large": ((1 << 20) + 1).to_bytes(4, "little"),
    "nested": b"[" * 200_000,
    "list": b"[]",
    "not-utf8": b'{"a":"\xff"}',
    "surrogate": b'{"log":{"message":"\\ud800"}}',
    "not-a-number": b'{"id":NaN}',
    "repeated-key": b'{"id":1,"id":1,"result":1}',
    "long-number": b'{"id":' + b"9" * 5000 + b"}",
    "foreign-answer": b'{"id":77,"result":1}',
    "no-answer": b'{"id":1}',
    "unknown": b'{"hello":1}',
    "ask-without-name": b'{"id":1,"ask":7,"params":{}}',
    "ask-with-path": b'{"id":1,"ask":"../../x","params":{}}',
    "ask-without-params": b'{"id":1,"ask":"network.connect","params":[]}',
    "ask-with-text-id": b'{"id":"1","ask":"network.connect","params":{}}',
    "error-without-shape": b'{"id":1,"error":"x"}',
    "descriptors-announced": b'{"id":1,"result":1,"fds":3}',
    "descriptors-negative": b'{"id":1,"result":1,"fds":-1}',
    "second-ready": b'{"ready":{"tier":"hard","mechanisms":[]}}',
}
RAW = {"garbage", "oversized", "just-too-large"}


def attack(channel: Any) -> None:
    """Answer the host's call by what its method names."""
    sock = next(
        thing for thing in gc.get_objects() if isinstance(thing, _socket.socket) and thing.fileno() > 2
    )
    while (call := channel.receive()) is not None:
        if call.method in FRAMES:
            body = FRAMES[call.method]
            sock.sendall(body if call.method in RAW else len(body).to_bytes(4, "little") + body)
        elif call.method == "half-a-frame":
            sock.sendall((100).to_bytes(4, "little") + b"{")
            os._exit(0)
        elif call.method == "half-a-frame-and-wait":
            sock.sendall((100).to_bytes(4, "little") + b"{")
            time.sleep(60)
        elif call.method == "pass-descriptors":
            null = os.open("/dev/null", os.O_RDONLY)
            body = b'{"id":1,"result":"sent"}'
            socket.send_fds(sock, [len(body).to_bytes(4, "little") + body], [null] * 8)
        elif call.method == "never-read":
            while True:
                channel.notify({"log": {"message": "x" * 60_000}})
