"""One place where a test says which part of the machine it needs.

A missing part is listed as NOT RUN at the end of the run together with the command that installs it. Where
``ENVCLI_REQUIRE=all`` is set (as in CI) a missing part fails the test instead.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Part:
    """A part of the machine, how to see whether it is there and how to get it."""

    is_present: Callable[[], bool]
    install: str


def _bubblewrap_works() -> bool:
    found = shutil.which("bwrap")
    if found is None:
        return False
    probe = [found, "--unshare-all", "--ro-bind", "/", "/", "/bin/true"]
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


def postgres_programs() -> Path | None:
    """Return the folder that holds ``initdb`` and ``postgres``, newest version first."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)
    return found[0].parent if found else None


PARTS = {
    "bwrap": Part(_bubblewrap_works, "apt-get install -y bubblewrap"),
    "chromium": Part(lambda: shutil.which("chromium") is not None, "apt-get install -y chromium"),
    "postgres": Part(lambda: postgres_programs() is not None, "apt-get install -y postgresql"),
    "nginx": Part(lambda: Path("/usr/sbin/nginx").exists(), "apt-get install -y nginx-light"),
    "linux": Part(lambda: sys.platform == "linux", "run the suite on Linux"),
}


@cache
def is_present(part: str) -> bool:
    """Return whether ``part`` (a key of ``PARTS``) is usable on this machine."""
    return PARTS[part].is_present()


def require(part: str) -> None:
    """Let the calling test go on only where ``part`` is usable.

    Args:
        part: a key of ``PARTS``.
    """
    if is_present(part):
        return
    message = f"NOT RUN: needs {part}; install it with: {PARTS[part].install}"
    if os.environ.get("ENVCLI_REQUIRE") == "all":
        pytest.fail(message)
    pytest.skip(message)
