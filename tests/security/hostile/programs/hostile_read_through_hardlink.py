"""Make a second name for a foreign file in the own folder and read that."""

import os
from pathlib import Path


def attack(path: str) -> str:
    os.link(path, "second-name")
    return Path("second-name").read_text()
