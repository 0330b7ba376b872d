"""Use more memory than allowed."""


def attack(size: int) -> str:
    return f"{len(bytearray(size))} bytes"
