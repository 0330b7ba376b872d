"""The site as a real process: ``envcli-web serve`` (and, on demand, its worker) on a free port."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from common.ports import free_port

READY_SECONDS = 60


def command(*arguments: str) -> list[str]:
    """Return the command line of envcli-web."""
    return [str(Path(sys.executable).parent / "envcli-web"), *arguments]


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, "the site ended"
        try:
            if httpx.get(f"{url}/healthz", timeout=2).status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.1)
    raise AssertionError("the site does not answer")


@contextmanager
def served_site(data: Path, index_url: str, *init: str) -> Iterator[str]:
    """Initialise a site in ``data``, serve it with its worker, and yield its URL."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    arguments = ("init", "--data", str(data), "--url", url, "--index-url", index_url, *init)
    subprocess.run(command(*arguments), check=True, timeout=120, capture_output=True)
    with (data / "site.log").open("wb") as log:
        serve = subprocess.Popen(
            command("serve", "--data", str(data), "--port", str(port)), stdout=log, stderr=log
        )
        worker = subprocess.Popen(
            command("worker", "--data", str(data), "--poll", "0.2"), stdout=log, stderr=log
        )
        try:
            _wait(url, serve)
            yield url
        finally:
            for process in (serve, worker):
                process.terminate()
            for process in (serve, worker):
                assert process.wait(15) == 0, (data / "site.log").read_text()
