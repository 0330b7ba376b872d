"""The parts of a marketplace: which command each one is, and how one sees that it is well."""

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from envcli_web.errors import ConfigurationError
from envcli_web.market.health import HealthCheck, HeartbeatCheck, HttpCheck
from envcli_web.market.settings import MarketSettings

HEARTBEATS = ("timestamp", "gate", "worker")


@dataclass(frozen=True)
class Part:
    """One child process.

    Attributes:
        name: also the name of its log.
        command: program and arguments.
        check: tells whether it is well.
        heartbeat: its heartbeat file, removed before a start so that an old one proves nothing.
    """

    name: str
    command: tuple[str, ...]
    check: HealthCheck
    heartbeat: Path | None = None


def program(name: str) -> str:
    """Return the path of a command of this installation, or else of the search path.

    Raises:
        ConfigurationError: it is not installed.
    """
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise ConfigurationError(
            f"The command {name} is not installed",
            remedy="Install the distribution that has it beside envcli-web",
        )
    return found


def _servers(settings: MarketSettings) -> list[Part]:
    index = program("envcli-index")
    commands = {
        "log": (index, "log", "--data", str(settings.index)),
        "authority": (index, "authority", "--data", str(settings.index)),
        "public": (index, "serve", "--data", str(settings.index)),
        "devpi": (index, "devpi", "--data", str(settings.index)),
        "web": (program("envcli-web"), "serve", "--data", str(settings.web)),
    }
    return [
        Part(
            name,
            (*command, "--host", settings.host, "--port", str(settings.ports[name])),
            HttpCheck(settings.host, settings.ports[name], "/+status" if name == "devpi" else "/healthz"),
        )
        for name, command in commands.items()
    ]


def parts_of(settings: MarketSettings) -> list[Part]:
    """Return all parts in the order in which they start."""
    index = program("envcli-index")
    quiet = []
    for name in HEARTBEATS:
        beat = settings.index / "run" / f"{name}.heartbeat"
        quiet.append(Part(name, (index, name, "--data", str(settings.index)), HeartbeatCheck(beat), beat))
    beat = settings.web / "run" / "worker.heartbeat"
    follow = (program("envcli-web"), "worker", "--data", str(settings.web))
    return [*_servers(settings), *quiet, Part("web-worker", follow, HeartbeatCheck(beat), beat)]
