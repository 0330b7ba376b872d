"""Brings the running interpreter's environment to the lock: third-party by hash, ours editable without dependencies.

Does nothing when neither the lock nor any of our ``pyproject.toml`` files changed since the last time, so that the
tox environments that share one folder pay for it once.
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


def fingerprint(lock: Path) -> str:
    """Return a digest over everything that decides what gets installed."""
    digest = hashlib.sha256(lock.read_bytes())
    for name in DISTRIBUTIONS:
        digest.update((ROOT / name / "pyproject.toml").read_bytes())
    return digest.hexdigest()


def main() -> None:
    """Install from ``requirements/<argument>.txt`` (default: all) and our seven distributions."""
    lock = ROOT / "requirements" / f"{sys.argv[1] if len(sys.argv) > 1 else 'all'}.txt"
    stamp = Path(sys.prefix) / f"envcli-{lock.stem}.stamp"
    wanted = fingerprint(lock)
    if stamp.exists() and stamp.read_text() == wanted:
        return
    uv = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", sys.executable]
    subprocess.run([*uv, "--require-hashes", "-r", str(lock)], check=True)
    ours = [part for name in DISTRIBUTIONS for part in ("-e", str(ROOT / name))]
    subprocess.run([*uv, "--no-deps", "--no-build-isolation", *ours], check=True)
    stamp.write_text(wanted)


if __name__ == "__main__":
    main()
