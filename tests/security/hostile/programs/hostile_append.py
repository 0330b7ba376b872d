"""Add a line to a file of the user, such as a shell's start-up file."""

from pathlib import Path


def attack(path: str) -> str:
    with Path(path).open("a") as file:
        file.write("touched\n")
    return "written"
