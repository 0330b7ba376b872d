"""Ends the parts of a marketplace when its supervisor is gone, however it went.

The kernel tells each part of its parent's death as well (see ``envcli_web.processes``), but a part that is stopped or
hangs does not act on that, and what it started is told nothing. This process waits for the end of a pipe that the
supervisor alone holds, and ends whole process groups. It imports the standard library only and holds nothing secret.
"""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

END_SECONDS = 4.0
STEP_SECONDS = 0.05


def _signal(group: int, number: int) -> bool:
    """Send a signal to a group; return whether anything of it is left."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    return True


def end_groups(groups: set[int]) -> None:
    """Ask process groups to end, and kill what is left after a few seconds."""
    left = {group for group in groups if _signal(group, signal.SIGTERM)}
    deadline = time.monotonic() + END_SECONDS
    while left and time.monotonic() < deadline:
        time.sleep(STEP_SECONDS)
        left = {group for group in left if _signal(group, 0)}
    for group in left:
        _signal(group, signal.SIGKILL)


def guard(orders: IO[str]) -> None:
    """Keep the list of groups, one order (``+GROUP`` or ``-GROUP``) a line, until the orders end."""
    groups: set[int] = set()
    for line in orders:
        if not line.endswith("\n"):
            break  # the supervisor died while it wrote
        if line[0] == "+":
            groups.add(int(line[1:]))
        else:
            groups.discard(int(line[1:]))
    end_groups(groups)


class Guardian:
    """The supervisor's end: starts the process, tells it the groups, and starts it again if it is gone."""

    def __init__(self) -> None:
        self._groups: set[int] = set()
        self._process = self._start()

    @staticmethod
    def _start() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-I", "-S", str(Path(__file__).resolve())],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )

    def watch(self, group: int) -> None:
        """Have a group ended with the supervisor."""
        self._groups.add(group)
        self._tell(f"+{group}\n")

    def forget(self, group: int) -> None:
        """Leave a group alone that has ended: its number may be given to others."""
        self._groups.discard(group)
        self._tell(f"-{group}\n")

    def check(self) -> None:
        """Start the process again if it is gone."""
        if self._process.poll() is not None:
            self._process = self._start()
            for group in sorted(self._groups):
                self._tell(f"+{group}\n")

    def close(self) -> None:
        """End the process; groups that it still knows are ended."""
        if self._process.stdin is not None:
            with suppress(BrokenPipeError):  # it is gone already
                self._process.stdin.close()
        self._process.wait()

    def _tell(self, line: str) -> None:
        if self._process.stdin is not None:
            try:
                self._process.stdin.write(line)
                self._process.stdin.flush()
            except BrokenPipeError:
                return  # check() starts it again and tells it every group


def _main() -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    guard(sys.stdin)


if __name__ == "__main__":
    _main()
