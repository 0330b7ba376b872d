"""Watch which files the user touches."""

import ctypes

from hostile_kernel import call


def attack(path: str) -> int:
    watcher = call("inotify_init1", 0)
    return 1 + call("inotify_add_watch", watcher, ctypes.c_char_p(path.encode()), 0xFFF)
