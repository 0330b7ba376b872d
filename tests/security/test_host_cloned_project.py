"""A cloned repository decides nothing about plugins, files outside of it, or the programs that its user starts."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from common.plugin_host import host, sigstore
from common.plugin_market import Host, manifest
from envcli_host.cli.main import main
from envcli_host.environments.project import Project
from envcli_host.errors import ConfigError, EnvironmentStoreError

__all__ = ["host", "sigstore"]

CODE = """
import json
from envcli_sdk import Plugin, command

class Demo(Plugin):
    def initialize(self, ctx):
        self.ctx = ctx

    @command("demo")
    def demo(self, *words):
        found = {"bucket": getattr(self.ctx.config, "bucket", None)}
        if "token" in words:
            found["token"] = self.ctx.config.token.value
        if "read" in words:
            found["read"] = self.ctx.api.environments.get("dev", "LEAK").value
        return json.dumps(found)
"""
CONFIG = '[config.bucket]\ntype = "string"\ndefault = "mine"\n[config.token]\ntype = "secret"'


def configure_by_project(host: Host, *lines: str) -> None:
    config = host.project.folder / "config.toml"
    config.write_text(
        "\n".join([config.read_text().partition("\n[plugins")[0], "[plugins.demo]", *lines, ""])
    )


def refusal(host: Host) -> str:
    return str(host.events("plugin.refused")[-1]["reason"])


def test_a_project_cannot_redirect_a_granted_plugin(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    host.release(CODE, manifest(("network:connect", "*.example.org:443"), config=CONFIG))
    host.install()
    assert main(["demo"]) == 0
    configure_by_project(host, 'bucket = "of-the-attacker"')
    capsys.readouterr()

    assert main(["demo"]) == 1
    assert "of-the-attacker" not in capsys.readouterr().out
    assert "configures bucket, to which nobody agreed" in refusal(host)


def test_a_project_cannot_choose_which_variable_is_the_secret(host: Host) -> None:
    host.release(CODE, manifest(config=CONFIG))
    host.install()
    configure_by_project(host, 'token = { variable = "prod:API_KEY" }')

    assert main(["demo", "token"]) == 1
    assert "configures token" in refusal(host)
    assert not [event for event in host.events("sandbox.asked") if event["ask"] == "config.get"]


def test_settings_are_shown_agreed_to_and_asked_for_again_when_they_change(
    host: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    host.release(CODE, manifest(config=CONFIG))
    host.install()
    configure_by_project(host, 'bucket = "ours\\u001b[2K"', 'token = { variable = "dev:API_KEY" }')
    grant = ["plugin", "permissions", "demo", "--grant", "--yes", "--allow-risk", "critical"]

    assert main(grant) == 0
    asked = capsys.readouterr().err
    assert 'bucket = "ours' in asked
    assert "\x1b" not in asked
    assert "token = variable dev:API_KEY" in asked
    assert main(["demo", "token"]) == 0
    assert "key-of-dev-123" in capsys.readouterr().out
    configure_by_project(host, 'bucket = "theirs"')

    assert main(["demo"]) == 1
    assert main(grant) == 2
    assert "otherwise than before, to which --yes never agrees" in capsys.readouterr().err


def test_what_the_user_configured_needs_no_consent_to_the_project(host: Host) -> None:
    host.release(CODE, manifest(config=CONFIG))
    host.install()
    assert main(["plugin", "configure", "demo", "bucket=mine", "--yes"]) == 0
    configure_by_project(host, 'bucket = "of-the-attacker"')

    assert main(["demo"]) == 0


def test_consent_to_one_project_is_none_to_another(host: Host, tmp_path: Path) -> None:
    host.release(CODE, manifest(config=CONFIG))
    configure_by_project(host, 'bucket = "ours"')
    host.install()
    assert main(["demo"]) == 0
    clone = tmp_path / "clone"
    clone.mkdir()
    Project.create(clone, ("dev",))
    (clone / ".envcli/config.toml").write_text('[plugins.demo]\nbucket = "ours"\n')
    os.chdir(clone)

    assert main(["demo"]) == 1
    assert f"the project {clone} configures bucket" in refusal(host)


def test_a_plugin_reads_nothing_of_the_users_process(
    host: Host, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", "token-of-the-shell")
    host.release(CODE, manifest(("variable:read", "dev:LEAK")))
    host.install()
    host.project.file_of("dev").write_text("LEAK=<$GITHUB_TOKEN>\n")
    capsys.readouterr()

    assert main(["demo", "read"]) == 0
    assert '"read": "<>"' in capsys.readouterr().out


@pytest.mark.parametrize(
    ("link", "command"),
    [
        (".envcli/current", ["switch", "prod"]),
        (".envcli/environments/dev.env", ["set", "-e", "dev", "X=1"]),
        (".envcli/environments/dev.env", ["list", "-e", "dev", "--reveal"]),
        (".envcli/environments/dev.env", ["get", "-e", "dev", "SECRET"]),
        (".envcli/config.toml", ["list"]),
    ],
)
def test_links_out_of_a_project_are_not_followed(
    link: str,
    command: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("ENVCLI_HOME", str(tmp_path / "home"))
    clone, outside = tmp_path / "clone", tmp_path / "bashrc"
    clone.mkdir()
    Project.create(clone, ("dev", "prod"))
    outside.write_text("SECRET=of-another-project\n")
    (clone / link).unlink()
    (clone / link).symlink_to(outside)
    monkeypatch.chdir(clone)

    assert main(command) == 1
    shown = capsys.readouterr()
    assert "leads out of the project through a symbolic link" in shown.err
    assert "of-another-project" not in shown.out
    assert outside.read_text() == "SECRET=of-another-project\n"


@pytest.mark.parametrize("folder", [".envcli", ".envcli/environments", ".envcli/snapshots"])
def test_linked_folders_of_a_project_are_refused(folder: str, tmp_path: Path) -> None:
    other, clone = tmp_path / "other", tmp_path / "clone"
    other.mkdir()
    clone.mkdir()
    Project.create(other, ("dev", "prod")).update("dev", {"SECRET": "of-another-project"})
    Project.create(clone, ("dev", "prod"))
    (other / ".envcli/snapshots").mkdir()
    (clone / ".envcli/snapshots").mkdir()
    (clone / folder).rename(tmp_path / "aside")
    (clone / folder).symlink_to(other / folder, target_is_directory=True)
    from envcli_host.environments.snapshots import take_snapshot

    with pytest.raises(EnvironmentStoreError, match="leads out of the project"):
        take_snapshot(Project.open(clone), "dev")
    assert list((other / ".envcli/snapshots").iterdir()) == []


def test_init_does_not_write_through_links(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "clone").mkdir()
    (tmp_path / "clone/.envcli").symlink_to(outside, target_is_directory=True)

    with pytest.raises(EnvironmentStoreError, match="symbolic link"):
        Project.create(tmp_path / "clone", ("dev",))
    assert list(outside.iterdir()) == []


def envcli_run(folder: Path, *command: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    words = [sys.executable, "-m", "envcli_host.cli.main", "run", "-e", "dev", "--", *command]
    environment = {**os.environ, "ENVCLI_HOME": str(folder / "home"), **variables}
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "name", ["LD_PRELOAD", "LD_AUDIT", "LD_LIBRARY_PATH", "DYLD_INSERT_LIBRARIES", "BASH_ENV"]
)
def test_run_takes_no_loader_variable_from_a_file(name: str, tmp_path: Path) -> None:
    Project.create(tmp_path, ("dev",)).update("dev", {name: f"{tmp_path}/evil"})

    done = envcli_run(tmp_path, "true")
    assert done.returncode == 1
    assert f"the environment sets {name}" in done.stderr


def test_run_starts_the_program_that_the_users_path_leads_to(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    for name in ("true", "only-here"):
        (tmp_path / "bin" / name).write_text("#!/bin/sh\necho of the project\n")
        (tmp_path / "bin" / name).chmod(0o755)
    Project.create(tmp_path, ("dev",)).update("dev", {"PATH": f"{tmp_path}/bin"})

    assert envcli_run(tmp_path, "true").stdout == ""
    assert envcli_run(tmp_path, "only-here").stdout == "of the project\n"


def test_a_deeply_nested_configuration_is_an_error(tmp_path: Path) -> None:
    Project.create(tmp_path, ("dev",))
    (tmp_path / ".envcli/config.toml").write_text("x = " + "[" * 100_000)

    with pytest.raises(ConfigError, match="not TOML"):
        Project.open(tmp_path)
