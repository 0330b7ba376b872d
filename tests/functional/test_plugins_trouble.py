"""What goes wrong on a user's machine is told with its cause and its remedy, and can be undone."""

import errno
import json
import os
import shutil
import sys
from pathlib import Path

import pytest
from common.plugin_host import host, sigstore
from common.plugin_market import NAME, Host, manifest
from envcli_host.audit import AuditLog
from envcli_host.cli.main import main
from envcli_host.plugins.store import discard

from envcli_host import files

__all__ = ["host", "sigstore"]

Capture = pytest.CaptureFixture[str]
CODE = """
from envcli_sdk import Plugin, command

class Demo(Plugin):
    @command("demo")
    def demo(self, who: str, prefix: str = "", times: int = 1):
        '''Greet somebody.'''
        if who == "memory":
            raise MemoryError
        return prefix + who * times
"""
FOLDER = """
[project]
name = "envcli-plugin-demo"
version = "1"
[project.entry-points."envcli.plugins"]
demo = "demo:Demo"
"""


def said(capsys: Capture, *arguments: str, status: int = 1) -> str:
    """Run envcli and return all that it prints."""
    capsys.readouterr()
    assert main(list(arguments)) == status
    found = capsys.readouterr()
    return found.out + found.err


@pytest.fixture
def installed(host: Host) -> Host:
    host.release(CODE, manifest())
    assert host.install() == 0
    return host


def test_a_missing_tree_is_called_gone(installed: Host, capsys: Capture) -> None:
    discard(installed.paths.plugins_dir / NAME / "1.0.0")
    remedy = f"Run: envcli plugin install {NAME}==1.0.0 --reinstall"

    for command in (
        ["demo", "x"],
        ["plugin", "verify"],
        ["plugin", "permissions", "demo"],
        ["plugin", "doctor"],
    ):
        told = said(capsys, *command)
        assert "are gone from" in told
        assert remedy in told
    assert installed.install("--reinstall") == 0
    assert said(capsys, "demo", "x", status=0) == "x\n"


def test_an_index_that_was_removed_is_called_so(installed: Host, capsys: Capture) -> None:
    assert "verified (test)" in said(capsys, "plugin", "list", status=0)
    assert main(["index", "remove", "test"]) == 0

    told = said(capsys, "demo", "x")
    assert "index test is no longer trusted" in told
    assert "envcli index add URL --name test --root-sha256 HASH" in told
    assert "refresh" not in told
    assert "NOT TRUSTED any more (test)" in said(capsys, "plugin", "list", status=0)
    assert json.loads(said(capsys, "plugin", "list", "--json", status=0))[0]["verified"] is False


@pytest.mark.parametrize("content", ["{", '{"version": 1, "plugins": {"x": {}}}'])
def test_doctor_survives_a_broken_registry(installed: Host, capsys: Capture, content: str) -> None:
    installed.paths.registry_file.write_text(content)

    told = said(capsys, "plugin", "doctor")
    assert "sandbox" in told
    assert str(installed.paths.registry_file) in told
    assert str(installed.paths.registry_file) in said(capsys, "plugin", "list")


def test_doctor_reports_files_that_others_can_open(installed: Host, capsys: Capture) -> None:
    installed.paths.grants_file.chmod(0o666)
    values = installed.project.file_of("dev")
    values.chmod(0o644)

    told = said(capsys, "plugin", "doctor")
    assert f"others can change {installed.paths.grants_file} -> chmod 600" in told
    assert f"others can read {values} -> chmod 600 {values}" in told


def test_doctor_survives_a_broken_project(installed: Host, capsys: Capture) -> None:
    (installed.project.folder / "config.toml").write_text("[")

    told = said(capsys, "plugin", "doctor", status=0)
    assert "warning: .envcli/config.toml is not TOML" in told
    assert "is as installed" in told


def test_a_plugin_can_be_removed_on_a_full_disk(
    installed: Host, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    release = installed.paths.plugins_dir / NAME / "1.0.0"
    written, appended = files._write_new, AuditLog._append

    def verify_room() -> None:
        if release.exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def write(path: Path, content: bytes, mode: int) -> None:
        verify_room()
        written(path, content, mode)

    def append(log: AuditLog, line: bytes) -> None:
        verify_room()
        appended(log, line)

    monkeypatch.setattr(files, "_write_new", write)
    monkeypatch.setattr(AuditLog, "_append", append)

    assert f"removed {NAME} 1.0.0" in said(capsys, "plugin", "remove", "demo", status=0)
    assert not installed.registry()
    assert installed.events("plugin.removed")


def test_a_linked_folder_can_be_removed_on_a_full_disk(
    host: Host, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    folder = host.project.root / "demo"
    (folder / "demo").mkdir(parents=True)
    (folder / "pyproject.toml").write_text(FOLDER)
    (folder / "demo" / "plugin.toml").write_text(manifest())
    (folder / "demo" / "__init__.py").write_text(CODE)
    assert main(["plugin", "dev", str(folder), "--yes"]) == 0
    assert said(capsys, "demo", "x", status=0).startswith("x\n")
    copies, written = host.paths.data / "guest", files._write_new

    def write(path: Path, content: bytes, mode: int) -> None:
        if copies.exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written(path, content, mode)

    monkeypatch.setattr(files, "_write_new", write)
    assert f"removed {NAME} 1" in said(capsys, "plugin", "remove", "demo", status=0)
    assert not host.registry()


def test_a_full_disk_installs_nothing_and_names_no_scratch_file(
    host: Host, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    host.release(CODE, manifest())
    written = files._write_new

    def write(path: Path, content: bytes, mode: int) -> None:
        if ".staging-" in str(path):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written(path, content, mode)

    monkeypatch.setattr(files, "_write_new", write)
    told = said(capsys, "plugin", "install", NAME, "--yes")
    assert f"nothing was installed: no space is left on the disk that holds {host.paths.plugins_dir}" in told
    assert ".staging-" not in told
    assert not host.store_state()["registry"]


def test_dev_refuses_a_plugin_for_a_newer_host(host: Host, capsys: Capture) -> None:
    folder = host.project.root / "demo"
    (folder / "demo").mkdir(parents=True)
    (folder / "pyproject.toml").write_text(FOLDER)
    (folder / "demo" / "plugin.toml").write_text(manifest().replace('"0.1"', '"99.0"'))

    assert "needs envcli 99.0" in said(capsys, "plugin", "dev", str(folder), "--yes")
    assert not host.store_state()["registry"]


def test_verify_says_what_it_did_not_verify(host: Host, capsys: Capture) -> None:
    assert "nothing to verify" in said(capsys, "plugin", "verify", status=0)
    folder = host.project.root / "demo"
    (folder / "demo").mkdir(parents=True)
    (folder / "pyproject.toml").write_text(FOLDER)
    (folder / "demo" / "plugin.toml").write_text(manifest())
    assert main(["plugin", "dev", str(folder), "--yes"]) == 0

    assert said(capsys, "plugin", "verify", status=0).startswith(f"unverified: {NAME} 1: linked from")
    assert "FAILED" in said(capsys, "plugin", "verify", "demo")


def test_a_command_has_a_usage(installed: Host, capsys: Capture) -> None:
    usage = "Usage: envcli demo WHO [--prefix PREFIX] [--times INT]"
    assert said(capsys, "demo", "you", "--prefix", "A", "--times", "2", status=0) == "Ayouyou\n"
    assert said(capsys, "demo", "--help", status=0) == f"{usage}\n\nGreet somebody.\n"
    assert said(capsys, "demo", "--nothing", "A", status=2) == (
        f"error: envcli demo: there is no option --nothing. {usage}\n"
    )
    assert "'many' is no whole number" in said(capsys, "demo", "you", "--times", "many", status=2)


def test_too_much_memory_is_told_in_words(installed: Host, capsys: Capture) -> None:
    assert "it ran out of its 256 MiB of memory" in said(capsys, "demo", "memory")


def test_a_wheel_larger_than_announced_is_not_read_to_its_end(host: Host, capsys: Capture) -> None:
    wheel = host.release(CODE, manifest())
    (path,) = (path for path in host.index.files if path.endswith(f"{wheel.sha256}/{wheel.filename}"))
    host.index.files[path] = wheel.content + bytes(1 << 20)

    limit = len(wheel.content) + 64 * 1024
    assert f"sends more than {limit} bytes" in said(capsys, "plugin", "install", NAME, "--yes")


def test_the_terminal_is_at_rest_when_consent_is_asked(
    host: Host, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    host.release(CODE, manifest())
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)

    told = said(capsys, "plugin", "install", NAME, "--yes", status=0)
    assert f"resolving {NAME} 1.0.0 …\n{NAME} 1.0.0 from index test\n" in told
    assert "KiB" not in told


def test_a_search_says_only_what_is_known(host: Host, capsys: Capture) -> None:
    assert "no plugin matches" in said(capsys, "plugin", "search", "nothing-like-it")
    host.index.faults.clear()
    config = host.paths.indexes_file
    config.write_text(config.read_text().replace(host.index.url, "http://127.0.0.1:9/"))
    told = said(capsys, "plugin", "search")
    assert "cannot be reached" in told
    assert "no plugin matches" not in told


@pytest.mark.parametrize("name", ["../../etc", "a/b", "", "x\x1b"])
def test_odd_names_are_no_project_names(host: Host, capsys: Capture, name: str) -> None:
    assert "is no project name" in said(capsys, "plugin", "info", name, status=2)


def test_listing_creates_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setenv("ENVCLI_HOME", str(tmp_path / "home"))

    assert "no plugin is installed" in said(capsys, "plugin", "list", status=0)
    assert not (tmp_path / "home").exists()


def test_a_relative_home_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ENVCLI_HOME", "here")

    told = said(capsys, "plugin", "list")
    assert "relative path 'here'" in told
    assert f"Give the whole path, for example {tmp_path}/here" in told
    shutil.rmtree(tmp_path / "here", ignore_errors=True)
