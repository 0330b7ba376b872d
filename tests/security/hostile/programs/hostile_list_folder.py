"""List a folder of the user."""

import os


def attack(path: str) -> list[str]:
    return [entry.name for entry in os.scandir(path)]
