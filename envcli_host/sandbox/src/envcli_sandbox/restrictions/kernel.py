"""System calls that Python has no function for, by ctypes."""

import ctypes
import os

_LIBC = ctypes.CDLL(None, use_errno=True)
_MOST_ARGUMENTS = 6
_SYSCALL = _LIBC.syscall
_SYSCALL.restype = ctypes.c_long
_SYSCALL.argtypes = (ctypes.c_long,) * (1 + _MOST_ARGUMENTS)
_PADDING = (0,) * _MOST_ARGUMENTS


def syscall(number: int, *arguments: int) -> int:
    """Make a system call and return its result.

    Args:
        number: from :func:`envcli_sandbox.restrictions.syscalls.load_table`.
        arguments: up to six integers, pointers as addresses.

    Raises:
        OSError: the kernel refused.
    """
    result: int = _SYSCALL(number, *arguments, *_PADDING[len(arguments) :])
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
