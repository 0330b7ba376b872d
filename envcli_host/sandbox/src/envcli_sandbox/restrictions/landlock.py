"""Landlock: which files the process may open (landlock(7)).

Rights that a kernel does not know yet are left to the seccomp filter, which refuses the calls they govern,
so the result is the same from ABI 1 (Linux 5.13) on.
"""

import ctypes
import os
import stat
import struct
from collections.abc import Iterable, Iterator

from envcli_sandbox.restrictions.kernel import syscall
from envcli_sandbox.restrictions.syscalls import SyscallTable

_EXECUTE = 1 << 0
_WRITE_FILE = 1 << 1
_READ_FILE = 1 << 2
_READ_DIR = 1 << 3
_REMOVE_DIR = 1 << 4
_REMOVE_FILE = 1 << 5
_MAKE_DIR = 1 << 7
_MAKE_REG = 1 << 8
_MAKE_SYM = 1 << 12
_REFER = 1 << 13
_TRUNCATE = 1 << 14
_IOCTL_DEV = 1 << 15

_READ = _READ_FILE | _READ_DIR
_WRITE = (
    _READ | _WRITE_FILE | _TRUNCATE | _REMOVE_DIR | _REMOVE_FILE | _MAKE_DIR | _MAKE_REG | _MAKE_SYM | _REFER
)
_ON_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV

_RIGHTS_KNOWN = {1: 13, 2: 14, 3: 15, 4: 15}  # and 16 from ABI 5 on
_NETWORK_SINCE, _SCOPES_SINCE = 4, 6
_ALL_TCP = 0b11  # bind and connect
_ALL_SCOPES = 0b11  # abstract unix sockets and signals
_RULE_PATH_BENEATH = 1
_CREATE_VERSION = 1


class _Rule(ctypes.Structure):
    """``struct landlock_path_beneath_attr``, which the kernel wants without padding."""

    _pack_ = 1
    _fields_ = (("rights", ctypes.c_uint64), ("beneath", ctypes.c_int32))


def landlock_abi(table: SyscallTable) -> int:
    """Return the kernel's Landlock ABI, 0 where there is none."""
    try:
        return syscall(table.numbers["landlock_create_ruleset"], 0, 0, _CREATE_VERSION)
    except OSError:
        return 0


def restrict_files(
    table: SyscallTable,
    *,
    abi: int,
    machine: Iterable[str],
    hidden: Iterable[str],
    readable: Iterable[str],
    writable: Iterable[str],
) -> None:
    """Refuse every file but those named, and all TCP, abstract sockets and signals to the outside.

    Args:
        table: the machine's system calls.
        abi: newest Landlock ABI to use, at least 1.
        machine: files and folders of the machine to read.
        hidden: folders below those that stay closed.
        readable: further files and folders to read.
        writable: files and folders to read and change. Nothing may be executed, and no device, socket or fifo
            made.

    Raises:
        OSError: the kernel refused.
    """
    handled = (1 << _RIGHTS_KNOWN.get(abi, 16)) - 1
    ruleset = _create_ruleset(table, abi, handled)
    closed = frozenset(hidden)
    for path in machine:
        for part in _without(path, closed):
            _add_rule(table, ruleset, part, _READ & handled)
    for path in readable:
        _add_rule(table, ruleset, path, _READ & handled)
    for path in writable:
        _add_rule(table, ruleset, path, _WRITE & handled)
    syscall(table.numbers["landlock_restrict_self"], ruleset, 0)
    os.close(ruleset)


def _create_ruleset(table: SyscallTable, abi: int, handled: int) -> int:
    words = [handled]
    if abi >= _NETWORK_SINCE:
        words.append(_ALL_TCP)
    if abi >= _SCOPES_SINCE:
        words.append(_ALL_SCOPES)
    attributes = struct.pack(f"={len(words)}Q", *words)
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    return syscall(table.numbers["landlock_create_ruleset"], ctypes.addressof(buffer), len(attributes), 0)


def _without(path: str, closed: frozenset[str]) -> Iterator[str]:
    """Yield ``path``, or its parts when something below it stays closed: Landlock knows no exceptions."""
    if not any(folder.startswith(f"{path}/") for folder in closed):
        yield path
        return
    with os.scandir(path) as entries:
        for entry in entries:
            target = os.path.realpath(entry.path) if entry.is_symlink() else entry.path
            if not _is_closed(target, closed):
                yield from _without(entry.path, closed)


def _is_closed(path: str, closed: frozenset[str]) -> bool:
    return any(path == folder or path.startswith(f"{folder}/") for folder in closed)


def _add_rule(table: SyscallTable, ruleset: int, path: str, rights: int) -> None:
    try:
        beneath = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:  # what is not there needs no right
        return
    try:
        if not stat.S_ISDIR(os.fstat(beneath).st_mode):
            rights &= _ON_FILES
        rule = _Rule(rights, beneath)
        number, address = table.numbers["landlock_add_rule"], ctypes.addressof(rule)
        syscall(number, ruleset, _RULE_PATH_BENEATH, address, 0)
    finally:
        os.close(beneath)
