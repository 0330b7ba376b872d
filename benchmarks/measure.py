"""How the benchmarks measure: CPU time of whole processes, in interleaved rounds, medians."""

import os
import resource
import statistics
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        what: what was measured.
        ours: our figure with its unit.
        peer: the peer's name and figure.
        ratio: ours divided by the peer's, or a figure in ``unit``.
        target: the largest ratio that the project promises.
    """

    what: str
    ours: str
    peer: str
    ratio: float
    target: float
    unit: str = "×"

    @property
    def holds(self) -> bool:
        """Return whether the promise held in this run."""
        return self.ratio <= self.target


def child_cpu_seconds(command: Sequence[str], env: Mapping[str, str] | None = None) -> float:
    """Return the user and system CPU seconds of one command and the children it waited for."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def interleaved(rounds: int, *measured: Callable[[], float]) -> list[float]:
    """Call each in turn, ``rounds`` times after one warm-up, and return each one's median."""
    for call in measured:
        call()
    results: list[list[float]] = [[] for _ in measured]
    for _ in range(rounds):
        for kept, call in zip(results, measured, strict=True):
            kept.append(call())
    return [statistics.median(kept) for kept in results]


def plain_environment(**more: str) -> dict[str, str]:
    """Return an environment in which byte code is written and nothing else steers Python."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return kept | more


def print_table(rows: Sequence[Row]) -> None:
    """Print the rows with their targets."""
    print(f"{'what':58} {'ours':>12} {'peer':>34} {'figure':>10} {'target':>9}  ")
    for row in rows:
        figure, target = f"{row.ratio:.2f}{row.unit}", f"{row.target:g}{row.unit}"
        verdict = "ok" if row.holds else "MISSED"
        print(f"{row.what:58} {row.ours:>12} {row.peer:>34} {figure:>10} {'≤ ' + target:>9}  {verdict}")
