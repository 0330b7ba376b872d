"""System calls that Python has no function for, by ctypes."""

import ctypes
import os
from typing import Any

_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.syscall.restype = ctypes.c_long


def syscall(number: int, *arguments: Any) -> int:
    """Make a system call and return its result.

    Args:
        number: from :func:`envcli_sandbox.restrictions.syscalls.load_table`.
        arguments: integers or ctypes pointers.

    Raises:
        OSError: the kernel refused.
    """
    words = [ctypes.c_long(word) if isinstance(word, int) else word for word in arguments]
    result: int = _LIBC.syscall(ctypes.c_long(number), *words)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def prctl(option: int, value: int = 0) -> int:
    """Make one prctl(2) call and return its result.

    Raises:
        OSError: the kernel refused.
    """
    result: int = _LIBC.prctl(option, *(ctypes.c_ulong(word) for word in (value, 0, 0, 0)))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"prctl {option}: {os.strerror(code)}")
    return result
