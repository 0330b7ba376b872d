"""Progress of downloads on standard error, where that is a terminal."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from envcli_host.cli.output import escape_controls, note
from envcli_host.marketplace.model import Progress

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID


@contextmanager
def terminal_progress() -> Iterator[Progress | None]:
    """What to pass as ``progress`` to the marketplace: bars at a terminal, None where nobody watches.

    Nothing of them is left on the terminal when the block ends.
    """
    if not sys.stderr.isatty():
        yield None
        return
    bars = _DownloadBars()
    try:
        yield bars
    finally:
        bars.stop()


class _DownloadBars:
    """Bars that exist only while bytes flow, so that a question between two steps finds the terminal at rest.

    A step without bytes is one whole line.
    """

    def __init__(self) -> None:
        self._bars: Bars | None = None
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, label: str, done: int, total: int | None) -> None:
        if not done:
            if total is None:
                note(f"{label} …")
            return
        if self._bars is None:
            self._bars = _new_bars()
            self._bars.start()
        if label not in self._tasks:
            self._tasks[label] = self._bars.add_task(escape_controls(label), total=total)
        self._bars.update(self._tasks[label], completed=done)
        if self._bars.finished:
            self.stop()

    def stop(self) -> None:
        """Clear the bars; harmless where there are none."""
        if self._bars is not None:
            self._bars.stop()
            self._bars, self._tasks = None, {}


def _new_bars() -> "Bars":
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TransferSpeedColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
    )
    return Bars(*columns, console=Console(stderr=True), transient=True)
