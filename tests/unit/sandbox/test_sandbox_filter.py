"""The system call filter, evaluated by a small interpreter of its instructions, for both machines."""

import errno
import socket
import struct

import pytest
from envcli_sandbox import SandboxUnavailableError
from envcli_sandbox.restrictions import bpf
from envcli_sandbox.restrictions.seccomp import ABSENT, ALLOWED, FEIGNED, UNSUPPORTED, build_filter
from envcli_sandbox.restrictions.syscalls import load_table
from hypothesis import given
from hypothesis import strategies as st

MACHINES = ("x86_64", "aarch64")
PROCESS = 4242
EPERM = bpf.refuse(errno.EPERM)
X86 = load_table("x86_64")
KERNEL_LIMIT = 4096


def evaluate(program: bytes, architecture: int, number: int, arguments: tuple[int, ...] = ()) -> int:
    """Return what the kernel would: the answer of ``program`` for one system call."""
    data = struct.pack("=iIQ6Q", number, architecture, 0, *(arguments + (0,) * 6)[:6])
    accumulator, position = 0, 0
    while True:
        code, if_true, if_false, operand = struct.unpack_from(
            "=HBBI", program, position * bpf.INSTRUCTION_BYTES
        )
        position += 1
        if code == bpf.RETURN:
            return int(operand)
        if code == bpf.LOAD:
            accumulator = struct.unpack_from("=I", data, operand)[0]
        elif code == bpf.AND:
            accumulator &= operand
        else:
            tests = {
                bpf.JUMP_EQUAL: accumulator == operand,
                bpf.JUMP_AT_LEAST: accumulator >= operand,
                bpf.JUMP_ANY_BIT: bool(accumulator & operand),
            }
            position += if_true if tests[code] else if_false


def verdict(name: str, *arguments: int, machine: str = "x86_64", abi: int = 7, notify: bool = False) -> int:
    """Return the answer for a call by name."""
    table = load_table(machine)
    program = build_filter(table, process=PROCESS, landlock_abi=abi, notify=notify)
    return evaluate(program, table.audit_arch, table.numbers[name], arguments)


@pytest.mark.parametrize("machine", MACHINES)
def test_the_program_fits_into_the_kernel(machine: str) -> None:
    program = build_filter(load_table(machine), process=PROCESS, landlock_abi=7, notify=True)
    assert len(program) // bpf.INSTRUCTION_BYTES < KERNEL_LIMIT


@pytest.mark.parametrize("names", [ALLOWED, FEIGNED, UNSUPPORTED, ABSENT])
def test_every_listed_name_is_a_system_call(names: frozenset[str]) -> None:
    assert names <= X86.numbers.keys()


def test_the_lists_do_not_overlap() -> None:
    lists = (ALLOWED, FEIGNED, UNSUPPORTED, ABSENT)
    assert sum(map(len, lists)) == len(frozenset().union(*lists))


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(
    "name",
    [
        "execve",
        "execveat",
        "ptrace",
        "process_vm_readv",
        "mount",
        "unshare",
        "setns",
        "bpf",
        "keyctl",
        "shmget",
        "connect",
        "bind",
        "listen",
        "accept4",
        "memfd_create",
        "pidfd_open",
        "pidfd_getfd",
        "pidfd_send_signal",
        "userfaultfd",
        "inotify_add_watch",
        "truncate",
        "mknodat",
        "chroot",
        "perf_event_open",
        "name_to_handle_at",
        "open_by_handle_at",
        "rt_sigqueueinfo",
        "tkill",
        "setpriority",
        "mlock",
        "clock_settime",
        "seccomp",
        "landlock_restrict_self",
        "setuid",
        "capset",
        "reboot",
        "init_module",
        "quotactl",
        "add_key",
        "kcmp",
        "migrate_pages",
    ],
)
def test_dangerous_calls_are_refused_or_reported(machine: str, name: str) -> None:
    assert verdict(name, machine=machine) == EPERM
    assert verdict(name, machine=machine, notify=True) == bpf.NOTIFY


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("name", ["read", "write", "openat", "futex", "getrandom", "recvmsg", "exit_group"])
def test_plain_calls_are_allowed(machine: str, name: str) -> None:
    assert verdict(name, machine=machine) == bpf.ALLOW


@given(st.integers(0, 2**31 - 1))
def test_what_is_not_listed_is_never_allowed(number: int) -> None:
    names = {n: name for name, n in X86.numbers.items()}
    program = build_filter(X86, process=PROCESS, landlock_abi=7, notify=False)
    answer = evaluate(program, X86.audit_arch, number)
    if number >= 0x40000000:
        assert answer == bpf.KILL_PROCESS
    elif names.get(number) is None:
        assert answer == EPERM


@pytest.mark.parametrize("machine", MACHINES)
def test_a_foreign_architecture_is_killed(machine: str) -> None:
    program = build_filter(load_table(machine), process=PROCESS, landlock_abi=7, notify=False)
    assert evaluate(program, 0x40000003, 11) == bpf.KILL_PROCESS


SAFE, THREAD_FLAGS = bpf.ALLOW, 0x3D0F00


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(
    ("name", "arguments", "answer"),
    [
        ("socket", (socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC), SAFE),
        ("socket", (socket.AF_UNIX, socket.SOCK_DGRAM), EPERM),
        ("socket", (socket.AF_UNIX, socket.SOCK_SEQPACKET), EPERM),
        ("socket", (socket.AF_INET, socket.SOCK_STREAM), EPERM),
        ("socket", (socket.AF_INET6, socket.SOCK_STREAM), EPERM),
        ("socket", (socket.AF_NETLINK, socket.SOCK_RAW), EPERM),
        ("socketpair", (socket.AF_UNIX, socket.SOCK_STREAM), SAFE),
        ("socketpair", (socket.AF_UNIX, socket.SOCK_DGRAM), EPERM),
        ("clone", (THREAD_FLAGS,), SAFE),
        ("clone", (17,), EPERM),
        ("clone", (THREAD_FLAGS | 0x10000000,), EPERM),
        ("clone", (0x10000011,), EPERM),
        ("clone3", (), bpf.refuse(errno.ENOSYS)),
        ("kill", (PROCESS, 9), SAFE),
        ("kill", (1, 9), EPERM),
        ("kill", (0, 9), EPERM),
        ("kill", (2**64 - 1, 9), EPERM),
        ("tgkill", (PROCESS, 1, 9), SAFE),
        ("tgkill", (1, 1, 9), EPERM),
        ("prlimit64", (0, 7), SAFE),
        ("prlimit64", (1, 7), EPERM),
        ("sched_setaffinity", (1, 8), EPERM),
        ("sendto", (3, 0, 5, 0, 0, 0), SAFE),
        ("sendto", (3, 0, 5, 0, 0x1000, 16), EPERM),
        ("sendto", (3, 0, 5, 0, 0x100000000, 16), EPERM),
        ("sendto", (3, 0, 5, 0x20000000, 0, 0), EPERM),
        ("sendmsg", (3, 0x1000, 0x4000), SAFE),
        ("sendmsg", (3, 0x1000, 0x20000000), EPERM),
        ("setsockopt", (3, socket.IPPROTO_TCP, socket.TCP_NODELAY), SAFE),
        ("setsockopt", (3, socket.IPPROTO_IP, 35), EPERM),
        ("fcntl", (3, 4, 0x800), SAFE),
        ("fcntl", (3, 8, 1), EPERM),
        ("fcntl", (3, 10, 9), EPERM),
        ("fcntl", (3, 1026, 1), EPERM),
        ("ioctl", (0, 0x5412), bpf.refuse(errno.ENOTTY)),
        ("ioctl", (0, 0x541C), bpf.refuse(errno.ENOTTY)),
        ("ioctl", (0, 0x5401), SAFE),
        ("prctl", (15, 0x1000), SAFE),
        ("prctl", (1, 0), EPERM),
        ("prctl", (4, 1), EPERM),
        ("prctl", (36, 1), EPERM),
        ("mmap", (0, 4096, 3, 0x22), SAFE),
        ("mmap", (0, 4096, 3, 0x21), EPERM),
        ("mmap", (0, 4096, 3, 0x23), EPERM),
        ("mmap", (0, 4096, 3, 0x122), EPERM),
        ("mmap", (0, 4096, 1, 0x01), SAFE),
        ("openat", (0, 0, 0x241), SAFE),
        ("openat", (0, 0, 0x200), EPERM),
        ("utimensat", (3, 0), SAFE),
        ("utimensat", (3, 0x1000), bpf.refuse(0)),
        ("fchmodat", (3, 0x1000, 0o666), bpf.refuse(0)),
    ],
)
def test_calls_are_narrowed_by_their_arguments(
    machine: str, name: str, arguments: tuple[int, ...], answer: int
) -> None:
    assert verdict(name, *arguments, machine=machine) == answer


@pytest.mark.parametrize(
    ("abi", "answer"), [(1, bpf.refuse(errno.ENOSYS)), (2, bpf.refuse(errno.ENOSYS)), (3, SAFE)]
)
def test_an_old_landlock_leaves_more_to_the_filter(abi: int, answer: int) -> None:
    assert verdict("openat2", abi=abi) == answer


def test_an_unknown_machine_is_refused() -> None:
    with pytest.raises(SandboxUnavailableError, match="riscv64"):
        load_table("riscv64")


def test_the_tables_know_the_same_new_calls() -> None:
    arm = load_table("aarch64").numbers
    newer = {name: number for name, number in X86.numbers.items() if number >= 424}
    assert all(arm[name] == number for name, number in newer.items() if name in arm)
    assert len(newer.keys() - arm.keys()) <= 1
