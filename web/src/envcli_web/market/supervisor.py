"""Keeping child processes alive: start, watch, restart with back-off, and end them all.

One thread on purpose: children die with the thread that started them (prctl(2)), and code between fork and exec is
safe only while no other thread runs.
"""

import logging
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from envcli_web.errors import WebError
from envcli_web.files import private_directory
from envcli_web.market.guardian import Guardian
from envcli_web.market.parts import Part
from envcli_web.processes import end_with_parent

STEP_SECONDS = 0.2
CHECK_SECONDS = 2.0
STARTING_CHECK_SECONDS = 0.3
GRACE_SECONDS = 120.0  # for a start
UNWELL_SECONDS = 8.0  # for one that was well; a heartbeat is 5 s old before it counts as unwell
UNWELL_CHECKS = 4
FIRST_DELAY = 0.3
MAX_DELAY = 20.0
GIVE_UP_AFTER = 6
STOP_SECONDS = 7.0
MAX_LOG_BYTES = 20 * 1024 * 1024
TAIL_LINES = 8

logger = logging.getLogger(__name__)


class StartError(WebError):
    """A part does not come up."""


@dataclass
class Child:
    """One part and the process that runs it at the moment."""

    part: Part
    logs: Path
    guardian: Guardian
    process: subprocess.Popen[bytes] | None = None
    is_well: bool = False
    was_well: bool = False
    restarts: int = 0
    _failures: int = 0
    _start_at: float = 0.0
    _started: float = 0.0
    _last_well: float = 0.0
    _next_check: float = 0.0
    _failed_checks: int = 0

    @property
    def log(self) -> Path:
        """The file that takes the child's output."""
        return self.logs / f"{self.part.name}.log"

    def _open_log(self) -> int:
        if self.log.exists() and self.log.stat().st_size > MAX_LOG_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))
        return os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def start(self) -> None:
        """Start the process in a group of its own, so that nothing of it survives a restart."""
        if self.part.heartbeat is not None:
            self.part.heartbeat.unlink(missing_ok=True)
        output = self._open_log()
        try:
            self.process = subprocess.Popen(
                self.part.command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=partial(end_with_parent, os.getpid()),  # noqa: PLW1509 - this process has one thread
            )
        finally:
            os.close(output)
        self.guardian.watch(self.process.pid)
        self._started = self._last_well = time.monotonic()
        self._next_check, self._failed_checks = 0.0, 0
        logger.info("%s started, pid %d", self.part.name, self.process.pid)

    def signal_group(self, number: signal.Signals) -> None:
        """Send a signal to the process and everything that it started."""
        if self.process is not None:
            try:
                os.killpg(self.process.pid, number)
            except ProcessLookupError:
                return

    def _ended(self, why: str) -> None:
        self.signal_group(signal.SIGKILL)
        if self.process is not None:
            self.process.wait()
            self.guardian.forget(self.process.pid)
        self.process, self.is_well = None, False
        self._failures += 1
        self.restarts += 1
        delay = min(MAX_DELAY, FIRST_DELAY * 2 ** (self._failures - 1))
        self._start_at = time.monotonic() + delay
        logger.warning("%s %s; starting it again in %.1f s", self.part.name, why, delay)

    def _check(self, moment: float) -> None:
        self.is_well = self.part.check.is_well()
        self._next_check = moment + (CHECK_SECONDS if self.is_well else STARTING_CHECK_SECONDS)
        if self.is_well:
            if not self.was_well:
                logger.info("%s is well after %.1f s", self.part.name, moment - self._started)
            self.was_well, self._last_well, self._failed_checks = True, moment, 0
            if moment - self._started > MAX_DELAY:
                self._failures = 0
            return
        self._failed_checks += 1
        patience = UNWELL_SECONDS if self._last_well > self._started else GRACE_SECONDS
        if self._failed_checks >= UNWELL_CHECKS and moment - self._last_well > patience:
            self._ended("does not answer")

    def step(self) -> None:
        """Do what is due: start, notice an end, look whether the child is well.

        Raises:
            StartError: the child ended again and again without having been well once.
        """
        moment = time.monotonic()
        if self.process is None:
            if moment >= self._start_at:
                self.start()
            return
        status = self.process.poll()
        if status is not None:
            self._ended(f"ended with status {status}")
            if not self.was_well and self._failures >= GIVE_UP_AFTER:
                raise StartError(
                    f"{self.part.name} does not start: {self.last_words()}", remedy=f"See {self.log}"
                )
        elif moment >= self._next_check:
            self._check(moment)

    def last_words(self) -> str:
        """Return the end of the child's log as one line."""
        try:
            lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return "it left no log"
        return " | ".join(line.strip() for line in lines[-TAIL_LINES:] if line.strip()) or "it left no log"


@dataclass
class Supervisor:
    """Runs all parts until it is told to stop."""

    parts: Iterable[Part]
    logs: Path
    ready_seconds: float = 300.0
    stopping: bool = False
    children: list[Child] = field(init=False)

    def __post_init__(self) -> None:
        """Prepare one child for each part."""
        private_directory(self.logs)
        self._guardian = Guardian()
        self.children = [Child(part, self.logs, self._guardian) for part in self.parts]

    @property
    def is_ready(self) -> bool:
        """Whether every child is well."""
        return all(child.is_well for child in self.children)

    def request_stop(self, *_: object) -> None:
        """Ask the loop to end; usable as a signal handler."""
        self.stopping = True

    def run(self, on_ready: Callable[[], None]) -> None:
        """Start all children, call ``on_ready`` once when all are well, and keep them alive until asked to stop.

        Raises:
            StartError: a part does not come up.
        """
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self.request_stop)
        deadline, announced = time.monotonic() + self.ready_seconds, False
        try:
            while not self.stopping:
                self._guardian.check()
                for child in self.children:
                    if not self.stopping:
                        child.step()
                if not announced and self.is_ready:
                    announced = True
                    on_ready()
                if not announced and time.monotonic() > deadline:
                    self._complain()
                time.sleep(STEP_SECONDS)
        finally:
            self.stop()

    def _complain(self) -> None:
        unwell = [child for child in self.children if not child.is_well]
        words = "; ".join(f"{child.part.name}: {child.last_words()}" for child in unwell)
        raise StartError(f"Not ready after {self.ready_seconds:.0f} s: {words}", remedy=f"See {self.logs}")

    def stop(self) -> None:
        """Ask all children to end, wait for a few seconds, and kill what is left."""
        for child in self.children:
            child.signal_group(signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        for child in self.children:
            if child.process is None:
                continue
            try:
                child.process.wait(max(0.05, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                logger.warning("%s did not end in time and is killed", child.part.name)
            child.signal_group(signal.SIGKILL)
            child.process.wait()
            self._guardian.forget(child.process.pid)
        self._guardian.close()
