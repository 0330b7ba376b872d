"""Send to a foreign datagram socket from one half of a pair, whose calls look harmless."""

import socket


def attack(address: str) -> str:
    ours, _ = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    ours.sendmsg([b"hello"], [], 0, address)
    return "sent"
