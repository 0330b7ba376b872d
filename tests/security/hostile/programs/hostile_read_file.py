"""Read a file of the user, such as a private key."""

from pathlib import Path


def attack(path: str) -> str:
    return Path(path).read_text()
