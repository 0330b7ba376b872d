"""Open a private file to everybody."""

from pathlib import Path


def attack(path: str) -> str | None:
    before = Path(path).stat().st_mode
    Path(path).chmod(0o666)
    return "changed" if Path(path).stat().st_mode != before else None
