"""Open a private file to everybody."""

import os
from pathlib import Path


def attack(path: str) -> str | None:
    before = Path(path).stat().st_mode
    os.chmod(path, 0o666)
    return "changed" if Path(path).stat().st_mode != before else None
