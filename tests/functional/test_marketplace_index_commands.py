"""``envcli index``: whom to trust is confirmed by a fingerprint, at a terminal or on the command line."""

import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from common.index_simulator import Fault, IndexSimulator, serve_index
from envcli_host.cli.main import main
from envcli_host.config import HostPaths

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def index() -> Iterator[IndexSimulator]:
    with serve_index(IndexSimulator(lambda _name, _digest: b"", {})) as simulator:
        yield simulator


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ENVCLI_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def at_terminal(arguments: list[str], answer: str) -> tuple[int, str]:
    """Run envcli at a terminal of its own and type ``answer``."""
    control, terminal = pty.openpty()
    command = [sys.executable, "-m", "envcli_host.cli.main", *arguments]
    with subprocess.Popen(
        command, stdin=terminal, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        os.close(terminal)
        os.write(control, answer.encode())
        assert process.stdout is not None
        shown = process.stdout.read()
    os.close(control)
    return process.returncode, shown


def test_add_list_refresh_remove(index: IndexSimulator, capsys: Capture) -> None:
    assert main(["index", "add", index.url, "--root-sha256", index.root_sha256, "--name", "here"]) == 0
    assert main(["index", "list"]) == 0
    assert index.root_sha256 in capsys.readouterr().out
    assert main(["index", "refresh", "here"]) == 0
    assert "is fresh until" in capsys.readouterr().out
    assert main(["index", "remove", "here"]) == 0
    assert main(["index", "list", "--json"]) == 0
    assert capsys.readouterr().out.endswith("[]\n")


def test_a_wrong_fingerprint_changes_nothing(index: IndexSimulator, home: Path, capsys: Capture) -> None:
    assert main(["index", "add", index.url, "--root-sha256", "0" * 64]) == 1
    assert "not the one you gave" in capsys.readouterr().err
    assert not list(home.rglob("*.json"))


def test_without_a_fingerprint_and_a_terminal_it_is_shown_and_refused(index: IndexSimulator) -> None:
    command = [sys.executable, "-m", "envcli_host.cli.main", "index", "add", index.url]
    done = subprocess.run(
        command, input=f"{index.root_sha256}\n", capture_output=True, text=True, check=False
    )

    assert done.returncode == 2
    assert index.root_sha256 in done.stderr
    assert "--root-sha256" in done.stderr


def test_at_a_terminal_the_fingerprint_is_typed_back(index: IndexSimulator) -> None:
    status, shown = at_terminal(["index", "add", index.url], f"{index.root_sha256}\n")

    assert status == 0, shown
    assert "is trusted" in shown


@pytest.mark.parametrize("answer", ["y\n", "yes\n", "\n", "0" * 64 + "\n"])
def test_anything_else_typed_adds_nothing(index: IndexSimulator, home: Path, answer: str) -> None:
    status, _ = at_terminal(["index", "add", index.url], answer)

    assert status != 0
    assert not (home / "config" / "indexes.toml").exists()


def test_there_is_no_yes(index: IndexSimulator, capsys: Capture) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["index", "add", index.url, "--yes"])
    assert caught.value.code == 2


@pytest.mark.parametrize(
    ("path", "fault"),
    [
        ("tuf/metadata/1.root.json", Fault(status=404)),
        ("tuf/metadata/timestamp.json", Fault(status=503)),
        ("tuf/metadata/1.snapshot.json", Fault(truncate_at=10)),
    ],
)
def test_an_index_that_does_not_verify_is_not_added(
    index: IndexSimulator, home: Path, path: str, fault: Fault, capsys: Capture
) -> None:
    index.faults[path] = fault

    assert main(["index", "add", index.url, "--root-sha256", index.root_sha256]) == 1

    assert capsys.readouterr().err.count("\n") == 1
    assert not (home / "config" / "indexes.toml").exists()
    assert not HostPaths.from_environment().indexes_dir.exists()


def test_what_is_no_root_is_refused(index: IndexSimulator, capsys: Capture) -> None:
    import hashlib

    index.files["tuf/metadata/1.root.json"] = b"<html>hello</html>"
    fingerprint = hashlib.sha256(b"<html>hello</html>").hexdigest()

    assert main(["index", "add", index.url, "--root-sha256", fingerprint]) == 1
    assert "does not verify" in capsys.readouterr().err


def test_names_are_unique(index: IndexSimulator, capsys: Capture) -> None:
    arguments = ["index", "add", index.url, "--root-sha256", index.root_sha256, "--name", "one"]
    assert main(arguments) == 0
    assert main(arguments) == 2
    assert "there is an index called one already" in capsys.readouterr().err


def test_a_refresh_that_fails_names_the_index(index: IndexSimulator, capsys: Capture) -> None:
    main(["index", "add", index.url, "--root-sha256", index.root_sha256, "--name", "one"])
    index.faults["tuf/metadata/timestamp.json"] = Fault(status=500)

    assert main(["index", "refresh"]) == 1
    assert "index one answers HTTP 500" in capsys.readouterr().err
