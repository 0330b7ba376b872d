"""Forge when a file was changed."""

import os
from pathlib import Path


def attack(path: str) -> str | None:
    os.utime(path, (1, 1))
    return "changed" if Path(path).stat().st_mtime == 1 else None
