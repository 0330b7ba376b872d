"""Lists what this machine lacks for the whole test suite; run as ``python -m tests.common.missing``."""

import os
import shutil
import sys

from tests.common.require import PARTS, is_present

INTERPRETERS = ("3.11", "3.12", "3.13")


def main() -> int:
    """Print one line per missing part. Return 1 where ``ENVCLI_REQUIRE=all`` forbids any."""
    lacking = {name: part.install for name, part in PARTS.items() if not is_present(name)}
    running = f"{sys.version_info.major}.{sys.version_info.minor}"
    for name, install in lacking.items():
        print(f"NOT RUN: tests that need {name}; install it with: {install}")
    for version in INTERPRETERS:
        if version != running:
            state = "present" if shutil.which(f"python{version}") else f"missing; install python{version}"
            print(
                f"NOT RUN: Python {version} ({state}); run it with: tox run -e py{version.replace('.', '')}"
            )
    return 1 if lacking and os.environ.get("ENVCLI_REQUIRE") == "all" else 0


if __name__ == "__main__":
    raise SystemExit(main())
