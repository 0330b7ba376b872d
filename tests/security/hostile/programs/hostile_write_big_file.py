"""Write a file larger than allowed."""

from pathlib import Path


def attack(size: int) -> str:
    Path("big").write_bytes(bytes(size))
    return f"{Path('big').stat().st_size} bytes"
