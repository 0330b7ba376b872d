"""Starts a market on free loopback ports and says where its parts listen."""

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from demo.shell import DemoError, Shell

START_SECONDS = 120


def free_port() -> int:
    """Return a free TCP port on 127.0.0.1."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def is_listening(port: int) -> bool:
    """Return whether somebody listens on a TCP port of 127.0.0.1."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@dataclass(frozen=True)
class Market:
    """A running market.

    Attributes:
        data: its folder.
        urls: addresses of its processes by name, without a slash at the end.
        root_sha256: fingerprint of the TUF root that hosts pin.
    """

    data: Path
    urls: dict[str, str]
    root_sha256: str
    process: "subprocess.Popen[str]"

    @property
    def web(self) -> str:
        """Return the address of the site."""
        return self.urls["web"]

    @property
    def public(self) -> str:
        """Return the address that hosts, pip and uv read."""
        return self.urls["public"]

    @property
    def devpi(self) -> str:
        """Return the address that uploads go to."""
        return self.urls["devpi"]


@contextmanager
def running_market(shell: Shell, data: Path, first_party: Path) -> Iterator[Market]:
    """Run ``envcli-market up`` until the block ends.

    Raises:
        DemoError: it did not become healthy in time, or did not stop cleanly.
    """
    words = [
        "envcli-market", "up", "--data", str(data), "--port-base", "0", "--first-party", str(first_party), "--json",
    ]  # fmt: skip
    log = data.parent / "market.log"
    with log.open("w") as errors:
        program = str(Path(sys.executable).parent / words[0])
        process = subprocess.Popen(
            [program, *words[1:]], env=shell.environment(), stdout=subprocess.PIPE, stderr=errors, text=True
        )
        try:
            yield _ready(process, data, log)
        finally:
            process.send_signal(signal.SIGTERM)
            if process.wait(30) != 0:
                print(f"the market ended with {process.returncode}; its log is {log}", file=sys.stderr)


def _ready(process: "subprocess.Popen[str]", data: Path, log: Path) -> Market:
    if process.stdout is None:
        raise DemoError("the market has no standard output")
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        line = process.stdout.readline()
        if not line:
            raise DemoError(f"the market did not start:\n{log.read_text()[-4000:]}")
        if line.startswith("{"):
            said = json.loads(line)
            return Market(data, said["urls"], said["root_sha256"], process)
    raise DemoError(f"the market was not healthy after {START_SECONDS} s")
