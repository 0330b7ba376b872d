"""Runs every benchmark and prints one table; the exit status says whether every promise held."""

import importlib
import sys

from benchmarks.measure import Row, print_table

MODULES = ("cli_start", "sandbox_call", "verification", "simple_page")


def main() -> int:
    """Run the named benchmarks (all by default). Return 1 when a promise was missed."""
    rows: list[Row] = []
    for name in sys.argv[1:] or MODULES:
        rows.extend(importlib.import_module(f"benchmarks.{name}").run())
    print_table(rows)
    return 0 if all(row.holds for row in rows) else 1


if __name__ == "__main__":
    raise SystemExit(main())
