"""Send to a service's datagram socket, such as the journal's."""

import socket


def attack(address: str) -> str:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendmsg([b"hello"], [], 0, address)
    return "sent"
