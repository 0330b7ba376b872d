"""Connect by the kernel, past the socket module."""

import ctypes
import socket
import struct

from hostile_kernel import call


def attack(port: int) -> str:
    descriptor = call("socket", socket.AF_INET, socket.SOCK_STREAM, 0)
    address = (
        struct.pack("=H", socket.AF_INET) + struct.pack(">H", port) + socket.inet_aton("127.0.0.1") + bytes(8)
    )
    call("connect", descriptor, ctypes.c_char_p(address), len(address))
    return "connected"
