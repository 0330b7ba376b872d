"""System calls for the hostile programs, without Python's functions in between."""

import ctypes
import os

from envcli_sandbox.restrictions.syscalls import load_table

LIBC = ctypes.CDLL(None, use_errno=True)
_NUMBERS = load_table().numbers


def call(name: str, *arguments: object) -> int:
    """Make the system call ``name`` or raise OSError."""
    words = [ctypes.c_long(word) if isinstance(word, int) else word for word in arguments]
    LIBC.syscall.restype = ctypes.c_long
    result: int = LIBC.syscall(ctypes.c_long(_NUMBERS[name]), *words)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result
