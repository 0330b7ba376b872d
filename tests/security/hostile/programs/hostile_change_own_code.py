"""Change the code that the next run will load."""

from pathlib import Path


def attack() -> str:
    Path(__file__).with_name("planted.py").write_text("")
    return "planted"
