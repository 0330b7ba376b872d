"""The few instructions of classic BPF that a seccomp filter needs (linux/filter.h, seccomp(2))."""

import struct
from collections.abc import Sequence

LOAD = 0x20
JUMP_EQUAL = 0x15
JUMP_AT_LEAST = 0x35
JUMP_ANY_BIT = 0x45
AND = 0x54
RETURN = 0x06

NUMBER_AT = 0
ARCHITECTURE_AT = 4

KILL_PROCESS = 0x80000000
ERRNO = 0x00050000
NOTIFY = 0x7FC00000
ALLOW = 0x7FFF0000

INSTRUCTION_BYTES = 8


def instruction(code: int, operand: int, if_true: int = 0, if_false: int = 0) -> bytes:
    """Return one instruction; jumps count the instructions to skip."""
    return struct.pack("=HBBI", code, if_true, if_false, operand & 0xFFFFFFFF)


def answer(value: int) -> bytes:
    """Return from the filter with ``value``."""
    return instruction(RETURN, value)


def refuse(code: int) -> int:
    """Return the filter value that fails the call with errno ``code``; 0 reports success without acting."""
    return ERRNO | code


def argument(index: int, *, high: bool = False) -> bytes:
    """Load the lower (or upper) 32 bits of one argument; both known machines are little-endian."""
    return instruction(LOAD, 16 + 8 * index + (4 if high else 0))


def for_syscall(number: int, body: bytes) -> bytes:
    """Run ``body``, which must end in an answer, for one system call; skip it for the others."""
    return instruction(JUMP_EQUAL, number, 0, len(body) // INSTRUCTION_BYTES) + body


def allow_values(index: int, values: Sequence[int], otherwise: int) -> bytes:
    """Allow the call when the argument's lower half is one of ``values``, else answer ``otherwise``."""
    tests = (instruction(JUMP_EQUAL, value, 0, 1) + answer(ALLOW) for value in values)
    return argument(index) + b"".join(tests) + answer(otherwise)


def allow_masked(index: int, mask: int, values: Sequence[int], otherwise: int) -> bytes:
    """Allow the call when the argument under ``mask`` is one of ``values``, else answer ``otherwise``."""
    tests = (instruction(JUMP_EQUAL, value, 0, 1) + answer(ALLOW) for value in values)
    return argument(index) + instruction(AND, mask) + b"".join(tests) + answer(otherwise)


def allow_unless_masked(index: int, mask: int, value: int, otherwise: int) -> bytes:
    """Allow the call unless the argument under ``mask`` equals ``value``."""
    test = instruction(JUMP_EQUAL, value, 0, 1) + answer(otherwise)
    return argument(index) + instruction(AND, mask) + test + answer(ALLOW)


def allow_null(index: int, otherwise: int) -> bytes:
    """Allow the call when a pointer argument is null."""
    upper = argument(index) + instruction(JUMP_EQUAL, 0, 0, 3)
    return (
        upper
        + argument(index, high=True)
        + instruction(JUMP_EQUAL, 0, 0, 1)
        + answer(ALLOW)
        + answer(otherwise)
    )
