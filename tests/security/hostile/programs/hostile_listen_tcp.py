"""Offer a service."""

import ctypes
import socket
import struct

from hostile_kernel import call


def attack() -> str:
    descriptor = call("socket", socket.AF_INET, socket.SOCK_STREAM, 0)
    address = struct.pack("=H", socket.AF_INET) + bytes(14)
    call("bind", descriptor, ctypes.c_char_p(address), len(address))
    call("listen", descriptor, 1)
    return "listening"
