"""Read another process's environment."""

from pathlib import Path


def attack(pid: int) -> str:
    return Path(f"/proc/{pid}/environ").read_text()
