"""Hold more descriptors than allowed."""

import os


def attack(count: int) -> str:
    held = [os.open("/dev/null", os.O_RDONLY) for _ in range(count)]
    for descriptor in held:
        os.close(descriptor)
    return f"{count} descriptors"
