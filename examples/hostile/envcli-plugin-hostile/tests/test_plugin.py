"""Every attempt is denied in the sandbox; the same attempts succeed without it, so they are real."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from envcli_host.workshop.testing import PluginHost
from envcli_sdk import CommandResult, CustomCommand, PluginError

from envcli_plugin_hostile.plugin import Hostile

ATTEMPTS = {"read-ssh-keys", "read-host-environment", "connect", "write-bashrc", "spawn-shell"}


def outcomes(result: CommandResult) -> dict[str, str]:
    return {name: outcome["outcome"] for name, outcome in result.data.items()}


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    (home / ".ssh" / "id_ed25519").write_text("a private key")
    (home / ".bashrc").write_text("# start-up file\n")
    return home


@pytest.fixture
def address() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_every_attempt_is_denied(
    plugin_host: PluginHost, victim: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOST_SECRET", "s3cret")
    with plugin_host(sandboxed=True) as plugin:
        result = plugin.execute(CustomCommand("attack", (str(victim), address)))
    assert isinstance(result, CommandResult)
    assert outcomes(result) == dict.fromkeys(ATTEMPTS, "denied")
    assert result.exit_code == 0
    assert any(ask.startswith("network.connect") for ask in plugin.denied)
    assert (victim / ".bashrc").read_text() == "# start-up file\n"


def test_the_attempts_succeed_without_a_sandbox(
    victim: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOST_SECRET", "s3cret")
    result = Hostile().attack(str(victim), address)
    assert outcomes(result) == dict.fromkeys(ATTEMPTS, "succeeded")
    assert result.exit_code == 1


def test_nothing_that_was_read_is_shown(victim: Path, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOST_SECRET", "s3cret")
    output = Hostile().attack(str(victim), address).output
    assert "s3cret" not in output
    assert "a private key" not in output


def test_it_starts_without_any_grant(plugin_host: PluginHost) -> None:
    with plugin_host(grants=()) as plugin, pytest.raises(PluginError):
        plugin.execute(CustomCommand("anything-else"))
