"""Watches one child from a thread: drains its output, refuses its system calls, kills it in time."""

import os
import selectors
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from envcli_sandbox.isolators.child import Child
from envcli_sandbox.notifications import DeniedCall, Listener
from envcli_sandbox.output import BoundedBuffer

_MEASURE_SECONDS = 0.2
_CHUNK_BYTES = 1 << 16
_ENTRY_BYTES = 4096
_BLOCK_BYTES = 512


class Supervisor(threading.Thread):
    """One thread per sandbox. It ends when the child has ended, whatever that does with its pipes.

    Attributes:
        killed_by: why it killed the child, or None.
        failure: what went wrong while writing down a refused call, or None.
        stdout: what the child printed.
        stderr: its error output.
    """

    def __init__(
        self, child: Child, *, output_bytes: int, scratch_bytes: int, on_denied: Callable[[DeniedCall], None]
    ) -> None:
        """Prepare to watch ``child``; ``on_denied`` hears of every refused system call."""
        super().__init__(name="envcli-sandbox", daemon=True)
        self.killed_by: str | None = None
        self.failure: Exception | None = None
        self.stdout, self.stderr = BoundedBuffer(output_bytes), BoundedBuffer(output_bytes)
        self._child = child
        self._scratch_bytes = scratch_bytes
        self._on_denied = on_denied
        self._deadline: float | None = None
        self._arriving: list[Listener] = []
        self._listener: Listener | None = None
        self._woken, self._waker = os.pipe()
        self._selector = selectors.DefaultSelector()
        self._pipes: dict[int, BoundedBuffer] = {}
        self._next_measure = 0.0

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Kill the child if the block takes longer than ``seconds``."""
        self._deadline = time.monotonic() + seconds
        self._wake()
        try:
            yield
        finally:
            self._deadline = None

    def listen(self, listener: Listener) -> None:
        """Answer the notifications of ``listener`` from now on."""
        self._arriving.append(listener)
        self._wake()

    def kill(self, why: str) -> None:
        """Kill the child; the first reason is kept."""
        self.killed_by = self.killed_by or why
        self._child.kill()

    def run(self) -> None:
        """Watch until the child has ended."""
        ended = self._child.fileno()
        self._pipes = {self._child.stdout.fileno(): self.stdout, self._child.stderr.fileno(): self.stderr}
        for descriptor in (ended, self._woken, *self._pipes):
            self._selector.register(descriptor, selectors.EVENT_READ)
        is_alive = True
        while is_alive:
            for key, _ in self._selector.select(self._patience()):
                is_alive &= key.fd != ended
                self._attend(key.fd)
            self._look_around()
        self._finish()

    def close(self) -> None:
        """Give back what the thread used; it must have ended."""
        for descriptor in (self._woken, self._waker):
            os.close(descriptor)

    def _attend(self, descriptor: int) -> None:
        if descriptor == self._woken:
            os.read(self._woken, _CHUNK_BYTES)
            while self._arriving:
                self._listener = self._arriving.pop()
                self._selector.register(self._listener, selectors.EVENT_READ)
        elif descriptor in self._pipes:
            self._drain(descriptor)
        elif self._listener is not None and descriptor == self._listener.fileno():
            self._refuse_call(self._listener)

    def _drain(self, descriptor: int) -> None:
        chunk = os.read(descriptor, _CHUNK_BYTES)
        self._pipes[descriptor].add(chunk)
        if not chunk:
            self._selector.unregister(descriptor)
            del self._pipes[descriptor]

    def _refuse_call(self, listener: Listener) -> None:
        try:
            denied = listener.refuse_one()
            if denied is None:
                return
        except OSError:  # the last process under the filter has ended
            self._drop_listener(listener)
            return
        try:
            self._on_denied(denied)
        except Exception as error:  # noqa: BLE001 what cannot be written down must not go on; raised at the end
            self.failure = error
            self.kill("audit")

    def _look_around(self) -> None:
        """Kill the child when its time or its room is used up."""
        now = time.monotonic()
        if self._deadline is not None and now >= self._deadline:
            self._deadline = None
            self.kill("wall")
        if now >= self._next_measure:
            self._next_measure = now + _MEASURE_SECONDS
            self._child.measure()
            if self._child.scratch is not None and _is_overfull(self._child.scratch, self._scratch_bytes):
                self.kill("scratch")

    def _patience(self) -> float | None:
        """Return how long nothing needs to be looked at, None for ever."""
        if self._deadline is None and self._child.scratch is None:
            return None
        until = min(self._deadline or self._next_measure, self._next_measure)
        return max(until - time.monotonic(), 0)

    def _wake(self) -> None:
        os.write(self._waker, b"\0")

    def _drop_listener(self, listener: Listener) -> None:
        self._selector.unregister(listener)
        listener.close()
        self._listener = None

    def _finish(self) -> None:
        """Read what is left in the pipes, which nobody writes to any more."""
        for descriptor in tuple(self._pipes):
            os.set_blocking(descriptor, False)
            with suppress(BlockingIOError):
                while descriptor in self._pipes:
                    self._drain(descriptor)
        for listener in (self._listener, *self._arriving):
            if listener is not None:
                listener.close()
        self._selector.close()


def _is_overfull(scratch: Path, room: int) -> bool:
    """Return whether the scratch folder holds more than ``room`` bytes; one that cannot be measured does."""
    used, folders = 0, [str(scratch)]
    while folders and used <= room:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    used += max(entry.stat(follow_symlinks=False).st_blocks * _BLOCK_BYTES, _ENTRY_BYTES)
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
        except FileNotFoundError:
            continue
        except OSError:
            return True
    return used > room
