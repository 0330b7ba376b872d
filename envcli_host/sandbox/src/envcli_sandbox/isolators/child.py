"""A started child: its socket, its pipes, and how all of it is ended."""

import itertools
import json
import os
import secrets
import select
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, NamedTuple

from envcli_sandbox.protocol import Channel

_LAST_RESORT_SECONDS = 2.0


class Usage(NamedTuple):
    """What a process has used.

    Attributes:
        cpu_seconds: user and system time.
        max_rss_bytes: largest resident set.
    """

    cpu_seconds: float
    max_rss_bytes: int


def read_usage(process: int) -> Usage:
    """Read what a running process has used (proc(5)).

    Raises:
        FileNotFoundError: it has ended.
        ProcessLookupError: it ended just now.
    """
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    ticks = int(fields[11]) + int(fields[12])
    peaks = [
        line for line in Path(f"/proc/{process}/status").read_text().splitlines() if line.startswith("VmHWM")
    ]
    peak = int(peaks[0].split()[1]) * 1024 if peaks else 0
    return Usage(ticks / os.sysconf("SC_CLK_TCK"), peak)


@dataclass(slots=True)
class Child:
    """One child process with everything around it.

    Attributes:
        process: the outermost process.
        channel: the host's end of its socket.
        stdout: what it prints.
        stderr: its error output.
        scratch: its folder on the host, None where it lives in the child's own namespace.
        mechanisms: what already isolates it from outside.
        information: pipe on which bubblewrap tells the first process of the namespaces, or None.
        used: what has been measured.
    """

    process: subprocess.Popen[bytes]
    channel: Channel
    stdout: IO[bytes]
    stderr: IO[bytes]
    scratch: Path | None = None
    mechanisms: tuple[str, ...] = ()
    information: int | None = None
    used: Usage = field(default=Usage(0.0, 0))
    _process: int = field(default=-1, init=False)
    _innermost: int | None = field(default=None, init=False)
    _runner: int | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        """Take hold of the process."""
        self._process = os.pidfd_open(self.process.pid)

    def find_innermost(self) -> None:
        """Take hold of the first process in the child's PID namespace: its end is the end of all in there."""
        if self.information is None:
            return
        first: int = json.loads(os.read(self.information, 4096))["child-pid"]
        os.close(self.information)
        self.information = None
        self._innermost = os.pidfd_open(first)
        self._runner = int(Path(f"/proc/{first}/task/{first}/children").read_text().split()[0])

    def measure(self) -> None:
        """Note what the process in the namespace has used, which bubblewrap does not pass on at its end."""
        if self._runner is not None:
            with suppress(FileNotFoundError, ProcessLookupError):
                self.used = read_usage(self._runner)

    def kill(self) -> None:
        """Kill everything the child is and has started: it cannot fork, and in namespaces all end with the first.

        Signals go by pidfd, so they can never hit a later process with the same number.
        """
        self.measure()
        _kill(self._process if self._innermost is None else self._innermost)

    def wait(self, seconds: float) -> bool:
        """Return whether the child has ended, after at most ``seconds``."""
        poller = select.poll()
        poller.register(self._process, select.POLLIN)
        return bool(poller.poll(seconds * 1000))

    def fileno(self) -> int:
        """Return a descriptor that is readable when the child has ended."""
        return self._process

    def reap(self) -> int:
        """Collect the killed or ended child, complete ``used``, and return its exit status (negative: signal)."""
        if not self.wait(_LAST_RESORT_SECONDS):
            _kill(self._process)
        _, status, used = os.wait4(self.process.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        self.used = Usage(
            max(self.used.cpu_seconds, used.ru_utime + used.ru_stime),
            max(self.used.max_rss_bytes, used.ru_maxrss * 1024),
        )
        return self.process.returncode

    def release(self) -> None:
        """Close what is open and remove the scratch folder.

        Raises:
            OSError: the scratch folder resists removal.
        """
        self.channel.close()
        self.stdout.close()
        self.stderr.close()
        for descriptor in (self.information, self._innermost, self._process):
            if descriptor is not None:
                os.close(descriptor)
        self.information = self._innermost = None
        if self.scratch is not None:
            _remove(self.scratch)


def _kill(process: int) -> None:
    with suppress(ProcessLookupError):
        signal.pidfd_send_signal(process, signal.SIGKILL)


def _remove(folder: Path) -> None:
    """Remove a folder that untrusted code has filled and nobody uses any more.

    What lies in there may be nested deeper than any path is long, lack every permission and hold links that lead
    out. So inner folders are opened up and moved to the top, level by level, and no link is followed.
    """
    prefix, numbers = secrets.token_hex(8), itertools.count()
    while inner := _folders_left(folder):
        for crowded in inner:
            for deeper in _folders_left(crowded):
                deeper.rename(folder / f"{prefix}-{next(numbers)}")
            crowded.rmdir()
    folder.rmdir()


def _folders_left(folder: Path) -> list[Path]:
    """Delete the files of ``folder`` and return its folders, which may be entered from then on."""
    folders = []
    for entry in list(folder.iterdir()):
        if entry.is_symlink() or not entry.is_dir():
            entry.unlink()
        else:
            entry.chmod(0o700)
            folders.append(entry)
    return folders
