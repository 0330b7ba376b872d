"""Empty a file by its name."""

import os


def attack(path: str) -> str:
    os.truncate(path, 0)
    return "emptied"
