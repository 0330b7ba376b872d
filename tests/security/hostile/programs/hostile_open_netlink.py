"""Ask the kernel for the machine's interfaces and routes."""

import socket

from hostile_kernel import call


def attack() -> str:
    return f"descriptor {call('socket', socket.AF_NETLINK, socket.SOCK_RAW, 0)}"
