"""Make a link in the own folder and read through it."""

from pathlib import Path


def attack(path: str) -> str:
    link = Path("link-out")
    link.symlink_to(path)
    return link.read_text()
