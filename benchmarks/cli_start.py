"""Start of the command: ``envcli --version`` with 50 plugins installed, beside an empty Python."""

import os
import sys
import tempfile
from pathlib import Path

from envcli_host.config import HostPaths
from envcli_host.plugins.registry import Origin, Record, Registry

from benchmarks.measure import Row, child_cpu_seconds, interleaved, plain_environment

PLUGINS = 50
ROUNDS = 25


def run() -> list[Row]:
    """Measure and return the rows of the table."""
    with tempfile.TemporaryDirectory(prefix="envcli-bench-") as name:
        env = plain_environment(ENVCLI_HOME=name)
        _install_plugins(Path(name))
        program = str(Path(sys.executable).parent / "envcli")
        floor, version, help_ = interleaved(
            ROUNDS,
            lambda: child_cpu_seconds([sys.executable, "-c", "pass"], env),
            lambda: child_cpu_seconds([program, "--version"], env),
            lambda: child_cpu_seconds([program, "--help"], env),
        )
    peer = f"python -c pass {floor * 1e3:.1f} ms"
    return [
        Row(
            "envcli --version, 50 plugins installed, CPU", f"{version * 1e3:.1f} ms", peer, version / floor, 3
        ),
        Row("envcli --help, 50 plugins installed, CPU", f"{help_ * 1e3:.1f} ms", peer, help_ / floor, 6),
    ]


def _install_plugins(home: Path) -> None:
    """Write a registry of 50 plugins, as installing them would."""
    os.environ["ENVCLI_HOME"] = str(home)
    paths = HostPaths.from_environment()
    records = {
        f"envcli-plugin-p{number}": Record(
            project=f"envcli-plugin-p{number}",
            version="1.0",
            id=f"p{number}",
            type="command",
            origin=Origin.INDEX,
            entry=f"envcli_plugin_p{number}.plugin:Plugin",
            contributes=(("command", f"p{number}", "A command of a plugin"),),
            index_name="market",
            wheel_sha256="0" * 64,
            manifest_sha256="0" * 64,
            tree_sha256="0" * 64,
        )
        for number in range(PLUGINS)
    }
    paths.registry_file.parent.mkdir(parents=True, exist_ok=True)
    Registry(records).save(paths)
