"""Empty a file through a descriptor that is opened for reading only."""

import os


def attack(path: str) -> str:
    os.close(os.open(path, os.O_RDONLY | os.O_TRUNC))
    return "emptied"
