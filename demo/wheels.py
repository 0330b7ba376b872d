"""Builds what the demo publishes and installs: our own wheels, and the examples."""

import shutil
import sys
from pathlib import Path

from demo.shell import Shell

ROOT = Path(__file__).resolve().parent.parent
HOST_PARTS = ("envcli_host/sdk", "envcli_host/sandbox", "policies", "envcli_host")
EXAMPLES = ("envcli-plugin-aws-secrets", "envcli-plugin-url-credentials")
HOSTILE = "hostile/envcli-plugin-hostile"


def build_wheel(shell: Shell, source: Path, out: Path) -> None:
    """Build the wheel of a folder without a build environment: the tools are installed from the lock."""
    shell.must(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(source))


def build_first_party(shell: Shell, out: Path) -> None:
    """Build the SDK for the curated index and fetch the one library it needs, pinned by hash."""
    out.mkdir(parents=True)
    build_wheel(shell, ROOT / "envcli_host/sdk", out)
    only_pluggy = out.parent / "pluggy.txt"
    only_pluggy.write_text(pinned("pluggy"))
    shell.must(
        sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:",
        "--require-hashes", "--dest", out, "-r", only_pluggy,
    )  # fmt: skip


def pinned(project: str) -> str:
    """Return the lock's lines of one project."""
    lines = (ROOT / "requirements/all.txt").read_text().splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"{project}=="))
    end = start + 1
    while lines[end].startswith(" "):
        end += 1
    return "\n".join(lines[start:end]) + "\n"


def make_host(shell: Shell, folder: Path, wheels: Path) -> Path:
    """Make an environment that holds the host alone, as a user would. Return its folder of programs."""
    python = folder / "bin" / "python"
    uv = (sys.executable, "-m", "uv")
    shell.must(*uv, "venv", "--quiet", "--seed", "--python", sys.executable, folder)
    runtime = ROOT / "requirements" / "host.txt"
    shell.must(*uv, "pip", "install", "--quiet", "--python", python, "--require-hashes", "-r", runtime)
    for part in HOST_PARTS:
        build_wheel(shell, ROOT / part, wheels)
    ours = sorted(wheels.glob("envcli_*.whl"))
    shell.must(*uv, "pip", "install", "--quiet", "--python", python, "--no-deps", *ours)
    return folder / "bin"


def copy_example(name: str, folder: Path) -> Path:
    """Copy an example to a working folder and return it."""
    target = folder / Path(name).name
    leave = shutil.ignore_patterns(".tox", "dist", "__pycache__", ".pytest_cache", "*.egg-info")
    shutil.copytree(ROOT / "examples" / name, target, ignore=leave)
    return target
