"""Open a connection and send with it in one call that is no connect."""

import ctypes
import socket
import struct

from hostile_kernel import call

MSG_FASTOPEN = 0x20000000


def attack(port: int) -> str:
    descriptor = call("socket", socket.AF_INET, socket.SOCK_STREAM, 0)
    address = (
        struct.pack("=H", socket.AF_INET) + struct.pack(">H", port) + socket.inet_aton("127.0.0.1") + bytes(8)
    )
    call(
        "sendto",
        descriptor,
        ctypes.c_char_p(b"hello"),
        5,
        MSG_FASTOPEN,
        ctypes.c_char_p(address),
        len(address),
    )
    return "sent"
