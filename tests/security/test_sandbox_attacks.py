"""Programs that try to get out of the sandbox, one per way, in both tiers, beside what they do unrestricted."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from envcli_sandbox import Tier
from security.hostile.harness import (
    PROGRAMS,
    TIERS,
    Attempt,
    attack,
    attack_unrestricted,
    attack_with_landlock,
    needs,
)

MARK = "a value that only the victim has"
VICTIM = (
    "import ctypes, sys, time; b = ctypes.create_string_buffer(b'readable');"
    "print(ctypes.addressof(b), flush=True); time.sleep(60)"
)


@dataclass
class Targets:
    """What the programs are after."""

    folder: Path
    secret: Path
    tcp: socket.socket
    udp: socket.socket
    stream: socket.socket
    datagram: socket.socket
    abstract: socket.socket
    victim: "subprocess.Popen[str]"
    address: int
    tree: Path
    before: os.stat_result = field(init=False)

    def __post_init__(self) -> None:
        """Remember how the secret file looked."""
        self.before = self.secret.stat()

    @property
    def is_intact(self) -> bool:
        """Whether the victim lives, the file is as it was, nobody has come and the code is unchanged."""
        after = self.secret.stat()
        same = (after.st_mode, after.st_mtime_ns, after.st_nlink) == (
            self.before.st_mode,
            self.before.st_mtime_ns,
            self.before.st_nlink,
        )
        planted = (self.tree / "planted.py").exists()
        return same and self.secret.read_text() == MARK and self.victim.poll() is None and not planted

    @property
    def was_reached(self) -> bool:
        """Whether anything arrived at one of the sockets."""
        return any(_has_arrived(s) for s in (self.tcp, self.udp, self.stream, self.datagram, self.abstract))


def _has_arrived(sock: socket.socket) -> bool:
    sock.settimeout(0)
    try:
        if sock.type == socket.SOCK_STREAM:
            sock.accept()[0].close()
        else:
            sock.recv(64)
    except BlockingIOError:
        return False
    return True


def _bound(stack: ExitStack, family: int, kind: int, address: Any) -> socket.socket:
    sock = stack.enter_context(socket.socket(family, kind))
    sock.bind(address)
    if kind == socket.SOCK_STREAM:
        sock.listen(8)
    return sock


@pytest.fixture
def targets(tmp_path: Path) -> Iterator[Targets]:
    """Give a file, a process and sockets of the user that nobody granted."""
    secret = tmp_path / "home" / ".ssh" / "id_ed25519"
    secret.parent.mkdir(parents=True)
    secret.write_text(MARK)
    secret.chmod(0o600)
    tree = Path(shutil.copytree(PROGRAMS, tmp_path / "tree", ignore=shutil.ignore_patterns("__pycache__")))
    with ExitStack() as stack:
        victim = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", VICTIM],
            stdout=subprocess.PIPE,
            text=True,
            env={"SECRET": MARK},
        )
        stack.enter_context(victim)
        stack.callback(victim.kill)
        assert victim.stdout is not None
        inet, unix, stream, datagram = socket.AF_INET, socket.AF_UNIX, socket.SOCK_STREAM, socket.SOCK_DGRAM
        yield Targets(
            folder=tmp_path,
            secret=secret,
            tcp=_bound(stack, inet, stream, ("127.0.0.1", 0)),
            udp=_bound(stack, inet, datagram, ("127.0.0.1", 0)),
            stream=_bound(stack, unix, stream, str(tmp_path / "s")),
            datagram=_bound(stack, unix, datagram, str(tmp_path / "d")),
            abstract=_bound(stack, unix, stream, f"\0envcli-test-{os.getpid()}-{victim.pid}"),
            victim=victim,
            address=int(victim.stdout.readline()),
            tree=tree,
        )


@dataclass(frozen=True)
class Attack:
    """One program, its parameters, and whether every machine lets it succeed when unrestricted."""

    program: str
    params: Callable[[Targets], dict[str, Any]] = lambda _: {}
    bites: bool = True


def _secret(t: Targets) -> dict[str, Any]:
    return {"path": str(t.secret)}


def _victim(t: Targets) -> dict[str, Any]:
    return {"pid": t.victim.pid}


def _tcp(t: Targets) -> dict[str, Any]:
    return {"port": t.tcp.getsockname()[1]}


def _datagram(t: Targets) -> dict[str, Any]:
    return {"address": t.datagram.getsockname()}


def _abstract(t: Targets) -> dict[str, Any]:
    return {"address": "@" + t.abstract.getsockname()[1:].decode()}


HUGE = 200 << 20
REFUSALS = {"FileNotFoundError", "MemoryError", "OSError", "PermissionError", "RuntimeError", "ValueError"}

ATTACKS = (
    Attack("read_file", _secret),
    Attack("read_through_symlink", _secret),
    Attack("read_through_hardlink", _secret),
    Attack("read_through_proc", lambda t: {**_secret(t), **_victim(t)}, bites=False),
    Attack("list_folder", lambda t: {"path": str(t.secret.parent)}),
    Attack("list_folder", lambda _: {"path": str(Path(pytest.__file__).parent.parent)}),
    Attack("read_file", lambda _: {"path": pytest.__file__}),
    Attack("watch_folder", lambda t: {"path": str(t.secret.parent)}),
    Attack("read_environment", _victim, bites=False),
    Attack("read_environment", lambda _: {"pid": os.getpid()}, bites=False),
    Attack("read_memory", lambda t: {**_victim(t), "address": t.address}, bites=False),
    Attack("attach", _victim, bites=False),
    Attack("steal_descriptor", _victim, bites=False),
    Attack("send_signal", _victim),
    Attack("send_queued_signal", _victim),
    Attack("send_descriptor_signal", _victim),
    Attack("lower_limits", _victim),
    Attack("move_processor", _victim),
    Attack("connect_tcp", _tcp),
    Attack("connect_multipath", _tcp, bites=False),
    Attack("send_fast_open", _tcp, bites=False),
    Attack("send_udp", lambda t: {"port": t.udp.getsockname()[1]}),
    Attack("listen_tcp"),
    Attack("open_netlink"),
    Attack("connect_unix", lambda t: {"address": t.stream.getsockname()}),
    Attack("connect_unix", _abstract),
    Attack("send_unix_datagram", _datagram),
    Attack("send_from_pair", _datagram),
    Attack("fork"),
    Attack("execute"),
    Attack("execute_memory"),
    Attack("change_mode", _secret),
    Attack("change_times", _secret),
    Attack("append", _secret),
    Attack("truncate", _secret),
    Attack("truncate_path", _secret),
    Attack("change_own_code"),
    Attack("use_ring", bites=False),
    Attack("make_namespace", bites=False),
    Attack("clone_namespace", bites=False),
    Attack("make_shared_memory"),
    Attack("use_keyring", bites=False),
    Attack("allocate", lambda _: {"size": HUGE}),
    Attack("map_shared", lambda _: {"size": HUGE}),
    Attack("map_stack", lambda _: {"size": HUGE}),
    Attack("start_many_threads", lambda _: {"count": 400}),
    Attack("write_big_file", lambda _: {"size": 8 << 20}),
    Attack("open_many_files", lambda _: {"count": 200}),
    Attack("raise_limits", bites=False),
    Attack("make_device"),
)
NUMBERED = [pytest.param(attack, id=f"{i:02}-{attack.program}") for i, attack in enumerate(ATTACKS)]


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("wanted", NUMBERED)
def test_stopped_in_the_sandbox(tier: Tier, wanted: Attack, targets: Targets) -> None:
    needs(tier)
    attempt = attack(tier, wanted.program, wanted.params(targets), tree=targets.tree)
    _assert_stopped(attempt, targets)


@pytest.mark.parametrize("wanted", NUMBERED)
def test_stopped_with_the_oldest_landlock(wanted: Attack, targets: Targets) -> None:
    """The filter makes up for what Landlock's first ABI (Linux 5.13) does not know."""
    needs(Tier.BASE)
    attempt = attack_with_landlock(1, wanted.program, wanted.params(targets), tree=targets.tree)
    _assert_stopped(attempt, targets)


def _assert_stopped(attempt: Attempt, targets: Targets) -> None:
    assert attempt.evidence is None, attempt.evidence
    assert attempt.error is None or attempt.error.type_name in REFUSALS
    assert targets.is_intact
    assert not targets.was_reached


@pytest.mark.parametrize("wanted", [p for p in NUMBERED if p.values[0].bites])
def test_control_succeeds_unrestricted(wanted: Attack, targets: Targets) -> None:
    work = targets.folder / "work"
    work.mkdir()
    assert attack_unrestricted(wanted.program, wanted.params(targets), work, targets.tree) is not None
