"""Use more memory than allowed, as shared pages that no data limit counts."""

import mmap


def attack(size: int) -> str:
    with mmap.mmap(-1, size) as memory:
        for page in range(0, size, 4096):
            memory[page] = 1
    return f"{size} bytes"
