"""The trust services of one index as real processes, for a whole test session.

Use the fixture by importing it: ``from common.sigstore_instance import sigstore_instance``.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from envcli_index.config import IndexConfig
from envcli_index.trust.client_config import client_config
from envcli_index.trust.keys import create_keys
from envcli_index.trust.tuf import create_repository

from common.oidc_issuer import OidcIssuer, running_issuer
from common.ports import free_port

_START_SECONDS = 30.0
_SERVICE = """
import logging, sys
from pathlib import Path
from envcli_index.config import IndexConfig
from envcli_index.trust import authority, log, timestamp
logging.basicConfig(level=logging.INFO)
config = IndexConfig.load(Path(sys.argv[2]))
runs = {"authority": authority.run, "log": log.run}
name = sys.argv[1]
sys.exit(timestamp.run(config) if name == "timestamp" else runs[name](config, "127.0.0.1", int(sys.argv[3])))
"""


class SigstoreInstance:
    """A running authority, log and timestamp process, and the issuer that the authority trusts."""

    def __init__(self, config: IndexConfig, issuer: OidcIssuer, root_sha256: str) -> None:
        self.config = config
        self.issuer = issuer
        self.root_sha256 = root_sha256
        self.trust_config = config.data / "trust-config.json"
        self.trust_config.write_text(json.dumps(client_config(config)))
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def trusted_root(self) -> str:
        """The trusted root alone, as JSON."""
        return json.dumps(client_config(self.config)["trustedRoot"])

    def start(self, *names: str) -> None:
        """Start services (``authority``, ``log``, ``timestamp``) and wait until they answer."""
        urls = {"authority": self.config.authority_url, "log": self.config.log_url}
        for name in names:
            port = int(urls[name].rpartition(":")[2]) if name in urls else 0
            self._processes[name] = start_service(name, self.config, port)
        for name in names:
            if name in urls:
                wait_healthy(urls[name])

    def kill(self, name: str) -> None:
        """End a service as a power cut would."""
        process = self._processes.pop(name)
        process.kill()
        process.wait()

    def stop(self) -> None:
        """Ask every service to end."""
        for process in self._processes.values():
            stop_service(process)


@contextmanager
def running_instance(data: Path) -> Iterator[SigstoreInstance]:
    """Run the trust services over ``data``, a new folder, until the context ends."""
    with running_issuer() as issuer:
        config = new_index(data, issuer.url, authority_port=free_port(), log_port=free_port())
        instance = SigstoreInstance(config, issuer, create_repository(config))
        try:
            instance.start("authority", "log", "timestamp")
            yield instance
        finally:
            instance.stop()


def new_index(data: Path, web_url: str, *, authority_port: int = 2, log_port: int = 3) -> IndexConfig:
    """Return the saved settings of an index in the new folder ``data`` that has keys but no repository."""
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    config = IndexConfig(
        data=data,
        public_url="http://127.0.0.1:1",
        devpi_url="http://127.0.0.1:1",
        authority_url=f"http://127.0.0.1:{authority_port}",
        log_url=f"http://127.0.0.1:{log_port}",
        web_url=web_url,
    )
    config.save()
    create_keys(data / "keys")
    return config


def start_service(name: str, config: IndexConfig, port: int) -> "subprocess.Popen[bytes]":
    """Start one trust service as a process of its own; its output goes to ``DIR/<name>.stderr``."""
    with (config.data / f"{name}.stderr").open("ab") as output:
        command = [sys.executable, "-c", _SERVICE, name, os.fspath(config.data), str(port)]
        return subprocess.Popen(command, stderr=output, stdout=output, stdin=subprocess.DEVNULL)


def stop_service(process: "subprocess.Popen[bytes]") -> int:
    """Ask a service to end and return its exit status."""
    process.send_signal(signal.SIGTERM)
    return process.wait(timeout=10)


def wait_healthy(url: str) -> None:
    """Wait until ``url`` answers its health check."""
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            if httpx.get(f"{url}/healthz", trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.05)


@pytest.fixture(scope="session")
def sigstore_instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SigstoreInstance]:
    """Trust services that live as long as the test session (of one xdist worker)."""
    with running_instance(tmp_path_factory.mktemp("sigstore") / "index") as instance:
        yield instance
