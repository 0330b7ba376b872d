"""Make a fifo or a socket file, which other programs may stumble over."""

import os


def attack() -> str:
    os.mkfifo("pipe")
    return "made"
