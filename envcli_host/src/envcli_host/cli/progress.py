"""Progress of downloads on standard error, where that is a terminal."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from envcli_host.cli.output import escape_controls
from envcli_host.marketplace.model import Progress


@contextmanager
def shown_progress(*, wanted: bool = True) -> Iterator[Progress | None]:
    """Give a callback for ``find_offer`` and ``download_offer``, or None where nobody watches.

    Args:
        wanted: False keeps silent at a terminal too, for example with ``--json``.
    """
    if not wanted or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TaskID, TextColumn, TransferSpeedColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
    )
    tasks: dict[str, TaskID] = {}
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:

        def report(label: str, done: int, total: int | None) -> None:
            if label not in tasks:
                tasks[label] = bars.add_task(escape_controls(label), total=total)
            bars.update(tasks[label], completed=done, total=total)

        yield report
