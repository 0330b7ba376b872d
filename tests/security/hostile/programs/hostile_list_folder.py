"""List a folder of the user."""

import os


def attack(path: str) -> list[str]:
    return os.listdir(path)
