"""Send a datagram, as a DNS tunnel would."""

import ctypes
import socket
import struct

from hostile_kernel import call


def attack(port: int) -> str:
    descriptor = call("socket", socket.AF_INET, socket.SOCK_DGRAM, 0)
    address = (
        struct.pack("=H", socket.AF_INET) + struct.pack(">H", port) + socket.inet_aton("127.0.0.1") + bytes(8)
    )
    call("sendto", descriptor, ctypes.c_char_p(b"hello"), 5, 0, ctypes.c_char_p(address), len(address))
    return "sent"
