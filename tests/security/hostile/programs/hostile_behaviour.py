"""Programs that do not break out but misbehave: spin, flood, linger, fill, fall over."""

import ctypes
import os
import signal
import sys
import threading
import time
from pathlib import Path

from hostile_kernel import LIBC

X32 = 0x40000000


def attack(what: str) -> object:
    """Do ``what``."""
    return globals()[what]()


def spin() -> None:
    """Use the processor until stopped, ignoring the polite signal."""
    signal.signal(signal.SIGXCPU, signal.SIG_IGN)
    while True:
        pass


def sleep() -> None:
    """Do nothing for long."""
    time.sleep(600)


def sleep_without_pipes() -> None:
    """Close what the host may watch, and do nothing for long."""
    for descriptor in (0, 1, 2):
        os.close(descriptor)
    time.sleep(600)


def linger() -> str:
    """Leave threads behind that outlast every polite end."""
    for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_IGN)
    for _ in range(4):
        threading.Thread(target=_for_ever, daemon=False).start()
    return "lingering"


def _for_ever() -> None:
    while True:
        time.sleep(0.01)


def flood_output() -> str:
    """Print far more than anybody wants, with escapes for the terminal."""
    print("\x1b]0;owned\x07" + "\u202ereversed", flush=True)
    for _ in range(64):
        os.write(1, b"x" * (1 << 20))
        os.write(2, b"y" * 1024)
    return "flooded"


def fill_with_small_files() -> str:
    """Fill the disk with files that are each small enough."""
    for number in range(1_000_000):
        Path(f"small-{number}").write_bytes(bytes(64 * 1024))
        time.sleep(0)
    return "filled"


def nest_folders() -> str:
    """Make folders so deep and so closed that removing them is hard."""
    for _ in range(1200):
        Path("d").mkdir()
        os.chdir("d")
    Path("closed").mkdir(0)
    Path("link").symlink_to("/etc")
    return "nested"


def crash() -> None:
    """End by a fault."""
    ctypes.string_at(0)


def leave() -> None:
    """End without an answer."""
    sys.stdout.flush()
    os._exit(3)


def call_by_foreign_convention() -> None:
    """Make a system call by the numbers of another calling convention."""
    LIBC.syscall(ctypes.c_long(X32 | 39))


def ask_kernel_often() -> str:
    """Make the same refused call again and again."""
    for _ in range(300):
        LIBC.ptrace(0, 0, 0, 0)
    return "asked"
