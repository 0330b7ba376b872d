"""What another program left on this machine before envcli starts is refused, or decides nothing."""

import os
from pathlib import Path

import pytest
from common.plugin_host import host, sigstore
from common.plugin_market import NAME, Host, manifest
from envcli_host.cli.main import main
from envcli_host.errors import EnvcliError
from envcli_host.plugins.errors import RegistryError
from envcli_host.plugins.journal import recover
from envcli_host.plugins.manager import PluginRef, open_plugin
from envcli_host.plugins.registry import Origin

__all__ = ["host", "sigstore"]

CODE = """
from envcli_sdk import Plugin, command

class Demo(Plugin):
    @command("demo")
    def demo(self):
        return "ran"
"""


@pytest.fixture
def installed(host: Host) -> Host:
    host.release(CODE, manifest())
    assert host.install() == 0
    assert main(["demo"]) == 0
    return host


@pytest.mark.parametrize("name", ["", "config", "data"])
def test_folders_that_everybody_can_write_decide_nothing(
    name: str, installed: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = installed.paths.data.parent / name
    folder.chmod(0o777)

    assert main(["demo"]) == 1
    assert "can be written by everybody" in capsys.readouterr().err
    assert main(["plugin", "install", NAME, "--yes"]) == 1
    folder.chmod(0o1777)
    assert main(["demo"]) == 0


def test_folders_of_another_user_decide_nothing(
    installed: Host, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if os.geteuid() == 0:
        os.chown(installed.paths.config, 12345, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 12345)

    assert main(["index", "list"]) == 1
    assert "belongs to another user" in capsys.readouterr().err


@pytest.mark.parametrize(
    "journal",
    [
        "no json",
        "[]",
        '{"creates": {}}',
        '{"creates": {"../../v": ".replaced-000000000000"}, "existed": {"../../v": false}, "registry": null}',
        '{"creates": {"a/1": "../../victim"}, "existed": {"a/1": true}, "registry": null, "grants": null}',
        '{"creates": {}, "existed": {}, "registry": 7, "grants": null}',
    ],
)
def test_a_forged_journal_removes_nothing(journal: str, installed: Host, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    (installed.paths.data / "journal.json").write_text(journal)
    before = installed.store_state()

    with pytest.raises(RegistryError, match="malformed"):
        recover(installed.paths)
    assert victim.is_dir()
    assert installed.store_state() == before


def test_what_pip_installed_cannot_claim_a_scheme_for_a_verified_plugin(installed: Host) -> None:
    claimed = PluginRef(NAME, "1.0.0", "demo", Origin.INDEX, ("aws-sm",))

    with pytest.raises(EnvcliError, match="does not contribute aws-sm"):
        open_plugin(claimed, project=installed.project, paths=installed.paths)


def test_restored_times_do_not_hide_a_change(installed: Host, capsys: pytest.CaptureFixture[str]) -> None:
    release = installed.paths.plugins_dir / NAME / "1.0.0"
    (source,) = release.rglob("main.py")
    times = source.stat()
    source.chmod(0o644)
    content = source.read_text()
    source.write_text(content.replace("ran", "rAn"))
    source.chmod(0o444)
    os.utime(source, ns=(times.st_atime_ns, times.st_mtime_ns))

    assert main(["demo"]) == 1
    assert "was modified after install" in capsys.readouterr().err
