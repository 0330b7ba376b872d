"""Connect to a service's socket, such as a container engine's or a key agent's."""

import socket


def attack(address: str) -> str:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.connect(address.replace("@", "\0", 1))
    return "connected"
