"""Progress of downloads on standard error, where that is a terminal."""

import atexit
import sys
from typing import TYPE_CHECKING

from envcli_host.cli.output import escape_controls
from envcli_host.marketplace.model import Progress

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID


def terminal_progress() -> Progress | None:
    """Return what to pass as ``progress`` to the marketplace: bars at a terminal, None where nobody watches."""
    return _DownloadBars() if sys.stderr.isatty() else None


class _DownloadBars:
    """Bars that exist only while bytes flow, so that a question between two steps finds the terminal at rest."""

    def __init__(self) -> None:
        self._bars: Bars | None = None
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, label: str, done: int, total: int | None) -> None:
        if not done:
            return
        if self._bars is None:
            self._bars = _new_bars()
            atexit.register(self._bars.stop)  # a failed download must not leave the cursor hidden
            self._bars.start()
        if label not in self._tasks:
            self._tasks[label] = self._bars.add_task(escape_controls(label), total=total)
        self._bars.update(self._tasks[label], completed=done)
        if self._bars.finished:
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
