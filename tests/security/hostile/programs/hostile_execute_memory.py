"""Run a program that exists in memory only."""

import ctypes
import os
from pathlib import Path

from hostile_kernel import call


def attack() -> str:
    descriptor = call("memfd_create", ctypes.c_char_p(b"program"), 0)
    os.write(descriptor, Path("/bin/true").read_bytes())
    os.waitpid(os.posix_spawn(f"/proc/self/fd/{descriptor}", ["program"], {}), 0)
    return "ran"
