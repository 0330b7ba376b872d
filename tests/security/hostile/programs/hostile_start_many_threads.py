"""Start threads until something gives."""

import threading


def attack(count: int) -> str:
    release = threading.Event()
    for _ in range(count):
        threading.Thread(target=release.wait, daemon=True).start()
    release.set()
    return f"{count} threads"
