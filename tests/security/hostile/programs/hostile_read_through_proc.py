"""Reach a file through another process's view of the root."""

from pathlib import Path


def attack(path: str, pid: int) -> str:
    return Path(f"/proc/{pid}/root{path}").read_text()
