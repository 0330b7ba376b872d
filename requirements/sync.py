"""Installs our own distributions editable, without dependencies: those come from the lock, pinned by hash.

Does nothing when no ``pyproject.toml`` of ours changed since the last time in the same environment.
"""

import hashlib
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DISTRIBUTIONS = (
    "envcli_host/sdk",
    "envcli_host/sandbox",
    "policies",
    "policies/vetting",
    "envcli_host",
    "index",
    "web",
)


def fingerprint(names: tuple[str, ...]) -> str:
    """Return a digest over the metadata of the distributions."""
    files = (ROOT / name / "pyproject.toml" for name in names)
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def main() -> None:
    """Install the distributions named by the arguments, or all seven."""
    names = tuple(sys.argv[1:]) or DISTRIBUTIONS
    stamp = Path(sys.prefix) / "envcli.stamp"
    wanted = fingerprint(names)
    if stamp.exists() and stamp.read_text() == wanted:
        return
    ours = [part for name in names for part in ("-e", str(ROOT / name))]
    uv = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", sys.executable]
    subprocess.run([*uv, "--no-deps", "--no-build-isolation", *ours], check=True)
    stamp.write_text(wanted)


if __name__ == "__main__":
    main()
