"""Nothing that a plugin or a repository sends in quantity holds the host up or fills its log."""

import socket
import time
from pathlib import Path

import pytest
from common.plugin_host import host, sigstore
from common.plugin_market import Host, manifest
from envcli_host.cli.main import main
from envcli_host.config import HostPaths
from envcli_host.environments.grammar import parse_document
from envcli_host.environments.project import Project
from envcli_host.environments.secrecy import is_secret
from envcli_host.errors import EnvironmentStoreError
from envcli_host.plugins import starting
from envcli_host.plugins.file_scopes import file_scopes, list_granted
from envcli_sandbox import network
from envcli_sandbox.network import connect_checked, parse_grant
from envcli_sandbox.request import Limits
from envcli_sdk.permissions import PermissionName, PermissionRequest

__all__ = ["host", "sigstore"]

FLOOD = """
from envcli_sdk import Plugin, command

class Demo(Plugin):
    def initialize(self, ctx):
        self.ctx = ctx

    @command("demo")
    def demo(self):
        while True:
            try:
                self.ctx.api.environments.get("dev", "X")
            except Exception:
                pass
"""


def test_asks_are_counted(
    host: Host, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    request = starting.SandboxRequest
    limits = Limits(asks=200, wall_seconds=20)
    monkeypatch.setattr(starting, "SandboxRequest", lambda **options: request(**options, limits=limits))
    host.release(FLOOD, manifest())
    host.install()

    assert main(["demo"]) == 1
    assert "broke the protocol" in capsys.readouterr().err
    assert len(host.events("sandbox.asked")) == 200
    assert host.events("sandbox.closed")[-1]["killed_by"] == "protocol"


def test_many_silent_addresses_share_one_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []

    def silent(address: tuple[str, int], timeout: float) -> socket.socket:
        tried.append(address[0])
        time.sleep(min(timeout, 0.2))
        raise TimeoutError("timed out")

    answers = [(2, 1, 6, "", (f"93.184.216.{number}", 443)) for number in range(1, 200)]
    monkeypatch.setattr(network.socket, "getaddrinfo", lambda *_, **__: answers)
    monkeypatch.setattr(network.socket, "create_connection", silent)
    started = time.monotonic()
    with pytest.raises(TimeoutError):
        connect_checked("slow.example.org", 443, [parse_grant("slow.example.org:443")], 0.5)

    assert time.monotonic() - started < 1
    assert len(tried) < 5


def test_listing_walks_only_where_an_answer_can_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from envcli_host.plugins import file_scopes as module

    for name in ("in/deep/deeper", "out/deep/deeper"):
        (tmp_path / "project" / name).mkdir(parents=True)
    (tmp_path / "project/in/a.txt").write_text("x")
    walked: list[str] = []
    walk = module.os.walk

    def watched(top: Path) -> object:
        for step in walk(top):
            walked.append(str(step[0]))
            yield step

    monkeypatch.setattr(module.os, "walk", watched)
    scope = PermissionRequest(PermissionName.FILE_READ, "./i*/*.txt", "x")
    scopes = file_scopes([scope], tmp_path / "project", HostPaths.below(tmp_path / "home"))

    assert list(list_granted("./in/*", scopes, tmp_path / "project")) == [str(tmp_path / "project/in/a.txt")]
    assert walked == [str(tmp_path / "project"), str(tmp_path / "project/in")]


def test_references_that_multiply_are_an_error() -> None:
    lines = ["A0=xxxxxxxxxx", *(f"A{n}={f'$A{n - 1}' * 10}" for n in range(1, 12))]

    with pytest.raises(EnvironmentStoreError, match="expand to more than"):
        parse_document("\n".join(lines)).expand()


@pytest.mark.parametrize(
    "text", ["A='" + "\\" * 400_000 + "x'", 'A="' + "\\n" * 200_000 + '"', "A=" + "$ " * 200_000]
)
def test_a_long_value_is_read_in_linear_time(text: str) -> None:
    started = time.monotonic()
    parse_document(text)

    assert time.monotonic() - started < 4


@pytest.mark.parametrize("value", ["a" * 200_000, "eyJ" * 100_000, "a://:" * 50_000, "://" + ":" * 200_000])
def test_a_long_value_is_judged_in_linear_time(value: str) -> None:
    started = time.monotonic()
    is_secret("X", f"{value} ")

    assert time.monotonic() - started < 2


@pytest.mark.parametrize(
    "value", ["postgres://me:pass:word@db/x", "https://:token@host/", "eyJhbGciOi.eyJzdWIi.x"]
)
def test_secrets_are_still_recognised(value: str) -> None:
    assert is_secret("X", value)


def test_no_environment_grows_beyond_what_can_be_read(tmp_path: Path) -> None:
    project = Project.create(tmp_path, ("dev",))
    for number in range(3):
        project.update("dev", {f"A{number}": "x" * (5 << 20)})
    with pytest.raises(EnvironmentStoreError, match="would be larger"):
        project.update("dev", {"LAST": "x" * (5 << 20)})

    assert "LAST" not in project.values("dev")
