"""The system calls a guest may make: an allow-list as a seccomp filter (seccomp(2)).

What is not listed fails with EPERM. Where the kernel can tell the host about refused calls, it does
(``SECCOMP_RET_USER_NOTIF``); the host then writes them down and gives the same answer. No call is ever let
through by the host, so there is nothing to race with.

Beyond the list, some calls are narrowed by their arguments:

* sockets are AF_UNIX streams, because datagrams could be sent to any socket by path; nothing binds,
  connects or listens. TCP arrives as a connected descriptor
* fcntl may not direct signals at other processes (F_SETOWN), ioctl knows terminals' and descriptors'
  reading side
* mmap gives no shared anonymous memory and no growing stacks, which RLIMIT_DATA does not count
* clone makes threads, nothing else; signals and limits concern the process itself
* changes of mode, owner and times, which Landlock does not govern, report success and do nothing:
  ``shutil.copy2`` and its kin rely on them. New files are private by umask
"""

import ctypes
import errno

from envcli_sandbox.restrictions import bpf
from envcli_sandbox.restrictions.kernel import syscall
from envcli_sandbox.restrictions.syscalls import SyscallTable

_READING = (
    "read readv pread64 preadv preadv2 lseek fstat newfstatat stat lstat statx fstatfs statfs getdents64"
)
_OPENING = """
    close openat2 dup dup2 dup3 close_range access faccessat faccessat2 readlink readlinkat getcwd chdir
    fchdir
"""
_WRITING = """
    write writev pwrite64 pwritev pwritev2 ftruncate fallocate fsync fdatasync sync_file_range fadvise64 flock
    mkdir mkdirat rmdir unlink unlinkat rename renameat renameat2 link linkat symlink symlinkat umask
    sendfile splice tee copy_file_range
"""
_MEMORY = "munmap mprotect mremap brk madvise msync mincore membarrier"
_WAITING = """
    poll ppoll select pselect6 epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2
    eventfd eventfd2 pipe pipe2 pause nanosleep clock_nanosleep sched_yield restart_syscall futex
    futex_waitv timerfd_create timerfd_settime timerfd_gettime wait4 waitid
"""
_SIGNALS = """
    rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigtimedwait rt_sigsuspend sigaltstack signalfd4
    alarm getitimer setitimer timer_create timer_settime timer_gettime timer_getoverrun timer_delete
"""
_SOCKETS = "recvfrom recvmsg shutdown getsockname getpeername getsockopt"
_ITSELF = """
    getpid getppid gettid getuid geteuid getgid getegid getgroups getresuid getresgid getpgrp getpgid getsid
    getrlimit getrusage times sysinfo uname getcpu capget sched_getaffinity sched_getparam sched_getscheduler
    sched_get_priority_min sched_get_priority_max getrandom time gettimeofday clock_gettime clock_getres rseq
    set_robust_list get_robust_list set_tid_address exit exit_group
"""
_LISTS = (_READING, _OPENING, _WRITING, _MEMORY, _WAITING, _SIGNALS, _SOCKETS, _ITSELF)
ALLOWED = frozenset(name for names in _LISTS for name in names.split())
_METADATA = "chmod fchmod fchmodat fchmodat2 chown fchown lchown fchownat utime utimes futimesat"
FEIGNED = frozenset(_METADATA.split())
_XATTR = """
    getxattr lgetxattr fgetxattr listxattr llistxattr flistxattr setxattr lsetxattr fsetxattr
    removexattr lremovexattr fremovexattr setxattrat getxattrat listxattrat removexattrat
"""
UNSUPPORTED = frozenset(_XATTR.split())
ABSENT = frozenset(("clone3", "io_uring_setup", "io_uring_enter", "io_uring_register"))
_FREQUENT = ("read", "write", "futex", "newfstatat", "fstat", "lseek", "close", "munmap", "mprotect")

_AF_UNIX, _SOCK_STREAM, _TYPE_MASK = 1, 1, 0xF
_MSG_FASTOPEN = 0x20000000
_SOL_SOCKET, _IPPROTO_TCP = 1, 6
_CLONE_THREAD = 0x10000
_MAP_SHARED_ANONYMOUS, _MAP_GROWSDOWN = 0x21, 0x100
_WRITE_MODES_AND_TRUNCATE = 0x203
_TRUNCATE_WITHOUT_WRITING = 0x200
_FCNTL = (0, 1, 2, 3, 4, 5, 6, 7, 36, 37, 38, 1030, 1032)  # duplicates, flags, locks, pipe size (get)
_IOCTL = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)  # TCGETS TIOCGWINSZ FIONREAD FIONBIO FIO(N)CLEX
_PRCTL = (3, 15, 16, 23, 0x53564D41)  # get dumpable, set and get name, read bounding set, name a mapping
_X32_BIT = 0x40000000
_SET_MODE_FILTER = 1
_GET_ACTION_AVAILABLE = 2
_NEW_LISTENER = 1 << 3
_FULL_TRUNCATE_SINCE = 3


def build_filter(table: SyscallTable, *, process: int, landlock_abi: int, notify: bool) -> bytes:
    """Return the filter's program.

    Args:
        table: the machine's system calls.
        process: id of the process that will run under it, the only one it may signal.
        landlock_abi: what Landlock enforces; an older one leaves more to the filter.
        notify: whether refused calls are reported to a listener.
    """
    refused = bpf.NOTIFY if notify else bpf.refuse(errno.EPERM)
    parts = [_prologue(table)]
    narrowed = _narrowed(process, refused)
    simple = _simple_answers(landlock_abi)
    for name in (*_FREQUENT, *sorted((simple.keys() | narrowed.keys()) - set(_FREQUENT))):
        if name in table.numbers:
            body = narrowed[name] if name in narrowed else bpf.answer(simple[name])
            parts.append(bpf.for_syscall(table.numbers[name], body))
    parts.append(bpf.answer(refused))
    return b"".join(parts)


def install_filter(table: SyscallTable, program: bytes, *, listen: bool) -> int | None:
    """Put the process under ``program``, which :func:`build_filter` made.

    Args:
        table: the machine's system calls.
        program: the filter.
        listen: whether to open a listener for the refused calls.

    Returns:
        The listener's descriptor, or None.

    Raises:
        OSError: the kernel refused; EBUSY when a filter further out has a listener already.
    """

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))

    buffer = ctypes.create_string_buffer(program, len(program))
    described = Program(len(program) // bpf.INSTRUCTION_BYTES, ctypes.addressof(buffer))
    flags = _NEW_LISTENER if listen else 0
    result = syscall(table.numbers["seccomp"], _SET_MODE_FILTER, flags, ctypes.addressof(described))
    return result if listen else None


def _prologue(table: SyscallTable) -> bytes:
    """Kill foreign calling conventions, whose numbers mean something else; then load the number."""
    parts = [
        bpf.instruction(bpf.LOAD, bpf.ARCHITECTURE_AT),
        bpf.instruction(bpf.JUMP_EQUAL, table.audit_arch, 1, 0),
        bpf.answer(bpf.KILL_PROCESS),
        bpf.instruction(bpf.LOAD, bpf.NUMBER_AT),
        bpf.instruction(bpf.JUMP_AT_LEAST, _X32_BIT, 0, 1),
        bpf.answer(bpf.KILL_PROCESS),
    ]
    return b"".join(parts)


def _simple_answers(landlock_abi: int) -> dict[str, int]:
    answers = dict.fromkeys(ALLOWED, bpf.ALLOW)
    answers |= dict.fromkeys(FEIGNED, bpf.refuse(0))
    answers |= dict.fromkeys(UNSUPPORTED, bpf.refuse(errno.EOPNOTSUPP))
    answers |= dict.fromkeys(ABSENT, bpf.refuse(errno.ENOSYS))
    if landlock_abi < _FULL_TRUNCATE_SINCE:  # its flags lie behind a pointer and cannot be looked at
        answers["openat2"] = bpf.refuse(errno.ENOSYS)
    return answers


def _narrowed(process: int, refused: int) -> dict[str, bytes]:
    no_permission = bpf.refuse(errno.EPERM)
    itself = bpf.allow_values(0, (0, process), refused)
    unix_streams = (
        bpf.argument(0)
        + bpf.instruction(bpf.JUMP_EQUAL, _AF_UNIX, 1, 0)
        + bpf.answer(refused)
        + bpf.allow_masked(1, _TYPE_MASK, (_SOCK_STREAM,), refused)
    )
    no_fast_open = bpf.allow_unless_masked(2, _MSG_FASTOPEN, _MSG_FASTOPEN, refused)
    opening = {"open": 1, "openat": 2}
    return {
        "socket": unix_streams,
        "socketpair": unix_streams,
        "sendmsg": no_fast_open,
        "sendto": _without_flag(3, _MSG_FASTOPEN, refused) + bpf.allow_null(4, refused),
        "setsockopt": bpf.allow_values(1, (_SOL_SOCKET, _IPPROTO_TCP), no_permission),
        "clone": bpf.allow_masked(0, _CLONE_THREAD | 0x7E020080, (_CLONE_THREAD,), refused),
        "mmap": _without_all(3, _MAP_SHARED_ANONYMOUS, no_permission)
        + bpf.allow_unless_masked(3, _MAP_GROWSDOWN, _MAP_GROWSDOWN, no_permission),
        "fcntl": bpf.allow_values(1, _FCNTL, refused),
        "ioctl": bpf.allow_values(1, _IOCTL, bpf.refuse(errno.ENOTTY)),
        "prctl": bpf.allow_values(0, _PRCTL, refused),
        "kill": bpf.allow_values(0, (process,), refused),
        "tgkill": bpf.allow_values(0, (process,), refused),
        "prlimit64": itself,
        "sched_setaffinity": itself,
        "utimensat": bpf.allow_null(1, bpf.refuse(0)),
        **{
            name: bpf.allow_unless_masked(i, _WRITE_MODES_AND_TRUNCATE, _TRUNCATE_WITHOUT_WRITING, refused)
            for name, i in opening.items()
        },
    }


def _without_flag(index: int, flag: int, otherwise: int) -> bytes:
    """Answer ``otherwise`` when the flag is set; go on when it is not."""
    return bpf.argument(index) + bpf.instruction(bpf.JUMP_ANY_BIT, flag, 0, 1) + bpf.answer(otherwise)


def _without_all(index: int, flags: int, otherwise: int) -> bytes:
    """Answer ``otherwise`` when all of ``flags`` are set; go on when one is not."""
    mask = bpf.instruction(bpf.AND, flags)
    return bpf.argument(index) + mask + bpf.instruction(bpf.JUMP_EQUAL, flags, 0, 1) + bpf.answer(otherwise)


def has_filters(table: SyscallTable) -> bool:
    """Return whether the kernel offers filters, without installing one."""
    action = ctypes.c_uint32(bpf.ERRNO)
    try:
        syscall(table.numbers["seccomp"], _GET_ACTION_AVAILABLE, 0, ctypes.addressof(action))
    except OSError:
        return False
    return True
