"""What a plugin returns, logs or raises changes nothing it was not granted, and repeats no secret."""

from pathlib import Path

import pytest
from common.plugin_host import host, sigstore
from common.plugin_market import Host, manifest
from envcli_host.cli.main import main
from envcli_host.config import HostPaths
from envcli_host.environments.steering import is_loader, steers_programs
from envcli_host.plugins.broker import PluginBroker, Redactor
from envcli_host.plugins.instances import InstanceConfig
from envcli_host.plugins.vault import PluginVault
from envcli_sandbox.output import sanitise
from envcli_sdk.permissions import PermissionName, PermissionRequest

__all__ = ["host", "sigstore"]

RULE = """
from envcli_sdk import EnvironmentValidation, Finding, Fix, Plugin, Secret, ValidationResult

class Demo(Plugin):
    def execute(self, command):
        names = ("API_KEY", "OTHER", "LD_PRELOAD")
        return ValidationResult(tuple(
            Finding("wrong", "demo", name, fix=Fix(Secret("of-the-plugin"))) for name in names
        ))
"""
STORE = """
from envcli_sdk import Plugin, Secret, SyncResult

class Demo(Plugin):
    def execute(self, command):
        if command.direction == "push":
            return SyncResult()
        return SyncResult({"HARMLESS": Secret("1"), command.remote: Secret("/tmp/evil.so")})
"""
WRITER = """
from envcli_sdk import Plugin, command

class Demo(Plugin):
    def initialize(self, ctx):
        self.ctx = ctx

    @command("demo")
    def demo(self, name, value):
        self.ctx.api.environments.set("dev", name, value)
        return "written"
"""


def test_a_repair_touches_only_what_the_plugin_may_read(host: Host) -> None:
    host.project.update("dev", {"LD_PRELOAD": "mine"})
    host.release(
        RULE, manifest(("variable:read", "dev:API_KEY"), ("variable:read", "dev:LD_PRELOAD"), kind="rule")
    )
    host.install()
    main(["validate", "-e", "dev", "--fix"])

    values = host.project.values("dev")
    assert values["API_KEY"] == "of-the-plugin"
    assert values["OTHER"] == "other-of-dev"
    assert values["LD_PRELOAD"] == "mine"


@pytest.mark.parametrize(
    "name", ["LD_PRELOAD", "PATH", "PYTHONPATH", "GIT_SSH_COMMAND", "NODE_OPTIONS", "ENVCLI_HOME"]
)
def test_a_store_does_not_decide_what_programs_run(
    name: str, host: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    host.release(STORE, manifest(kind="scheme", name="store"))
    host.install()

    assert main(["sync", f"store:{name}", "dev", "--yes"]) == 1
    assert f"holds {name}, which decides what code programs run" in capsys.readouterr().err
    assert "HARMLESS" not in host.project.values("dev")
    host.project.update("dev", {name: "/tmp/evil.so"})
    assert main(["sync", f"store:{name}", "dev", "--yes"]) == 0


def test_what_leaves_for_a_store_holds_nothing_of_the_process(
    host: Host, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", "token-of-the-shell")
    host.release(STORE, manifest(kind="scheme", name="store"))
    host.install()
    host.project.file_of("dev").write_text("LEAK=$GITHUB_TOKEN\n")
    capsys.readouterr()

    assert main(["sync", "dev", "store:X", "--yes", "--json"]) == 0
    assert "LEAK refers to variables of this shell" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "value", "written"),
    [("NEW", "x", True), ("LD_PRELOAD", "x", False), ("PATH", "x", False), ("NEW", "a\\0b", False)],
)
def test_a_wildcard_grant_covers_no_steering_variable(
    name: str, value: str, written: bool, host: Host
) -> None:
    host.release(
        WRITER.replace("name, value)\n        return", f"name, '{value}')\n        return"),
        manifest(("variable:write", "dev:*")),
    )
    host.install()

    assert (main(["demo", name, "-"]) == 0) is written
    assert (name in host.project.values("dev")) is written


def test_a_steering_variable_may_be_granted_by_name(host: Host) -> None:
    host.release(WRITER, manifest(("variable:write", "dev:PYTHONPATH")))
    host.install()

    assert main(["demo", "PYTHONPATH", "src"]) == 0


def test_loaders_steer() -> None:
    assert is_loader("LD_PRELOAD")
    assert not is_loader("PYTHONPATH")
    assert steers_programs("npm_config_registry")
    assert not steers_programs("DATABASE_URL")


SECRET = "first-line-of-key\r\nsecond\u200bline/of?key\n"


@pytest.mark.parametrize(
    "text",
    [
        f"raw {SECRET}",
        f"sanitised {sanitise(SECRET)}",
        f"repr {SECRET!r}",
        "line first-line-of-key",
        "url https://x/?key=first-line-of-key%0D%0Asecond%E2%80%8Bline%2Fof%3Fkey%0A",
        "cut " + "x" * 1980 + "first-line-of",
    ],
)
def test_accidents_repeat_no_secret(text: str) -> None:
    redactor = Redactor()
    redactor.remember(SECRET)

    cleaned = redactor.clean(text)
    assert "first-line" not in cleaned
    assert "of?key" not in cleaned


def test_a_log_line_is_cleaned_before_it_is_cut(tmp_path: Path) -> None:
    said: list[str] = []
    redactor = Redactor()
    redactor.remember("correct-horse-battery")
    broker = PluginBroker(
        (PermissionRequest(PermissionName.API_CALL, "crypto.random", "x"),),
        (),
        InstanceConfig("default", {}),
        None,
        PluginVault("demo", HostPaths.below(tmp_path)),
        redactor,
        lambda _, message: said.append(message),
    )
    broker.notice("log", {"level": "info", "message": "x" * 1990 + "correct-horse-battery"})

    assert "correct" not in said[0]
