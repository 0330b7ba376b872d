"""The commands of the core, called as a shell would call them."""

import io
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from envcli_host.cli.main import COMMANDS, main
from envcli_host.cli.output import escape_controls
from envcli_host.environments.secrecy import MASK

import envcli_host

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> Path:
    """A project in the working directory, and a home of its own for the host."""
    root = tmp_path / "project"
    root.mkdir()
    monkeypatch.chdir(root)
    monkeypatch.setenv("ENVCLI_HOME", str(tmp_path / "home"))
    assert main(["init"]) == 0
    capsys.readouterr()
    return root


def feed(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Let standard input be ``text``, from a pipe."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))


def read_json(capsys: Capture) -> object:
    """Parse what was printed."""
    return json.loads(capsys.readouterr().out)


def test_init_makes_the_default_environments(capsys: Capture) -> None:
    assert main(["switch", "--json"]) == 0
    assert read_json(capsys) == {"environments": ["dev", "local", "prod", "test"], "current": "local"}


def test_set_reads_the_value_from_standard_input(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    feed(monkeypatch, "a b'c\n")

    assert main(["set", "A"]) == 0
    assert main(["get", "A"]) == 0

    assert capsys.readouterr().out == "set A in local\na b'c"


def test_set_takes_values_in_arguments_too(capsys: Capture) -> None:
    assert main(["set", "-e", "dev", "A=1", "B=x=y"]) == 0
    capsys.readouterr()

    assert main(["list", "-e", "dev"]) == 0
    assert capsys.readouterr().out == "A=1\nB=x=y\n"


def test_unset(capsys: Capture) -> None:
    main(["set", "A=1"])
    assert main(["unset", "A"]) == 0
    assert main(["unset", "A"]) == 1
    assert "itself sets no A" in capsys.readouterr().err


def test_list_masks_secrets_unless_told_otherwise(capsys: Capture) -> None:
    main(["set", "API_TOKEN=hunter2", "HOST=h"])
    capsys.readouterr()

    main(["list"])
    assert capsys.readouterr().out == f"API_TOKEN={MASK}\nHOST=h\n"
    main(["list", "--reveal"])
    assert "API_TOKEN=hunter2" in capsys.readouterr().out
    main(["list", "--json"])
    assert read_json(capsys) == {
        "environment": "local",
        "variables": [
            {"name": "API_TOKEN", "value": MASK, "secret": True, "inherited": False},
            {"name": "HOST", "value": "h", "secret": False, "inherited": False},
        ],
    }


def test_list_escapes_what_could_move_the_cursor(capsys: Capture) -> None:
    main(["set", "A=x\x1b[2Jy\nz"])
    capsys.readouterr()

    main(["list"])

    assert capsys.readouterr().out == "A=x\\x1b[2Jy\\nz\n"


def test_switch_creates_with_inheritance(capsys: Capture) -> None:
    main(["set", "A=1"])
    assert main(["switch", "--create", "stage", "--inherits", "local"]) == 0
    capsys.readouterr()

    main(["list", "--json"])
    assert read_json(capsys) == {
        "environment": "stage",
        "variables": [{"name": "A", "value": "1", "secret": False, "inherited": True}],
    }


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["get", "NONE"], 1, "local has no NONE. Run: envcli set NONE"),
        (["switch", "nowhere"], 1, "there is no environment 'nowhere'"),
        (["list", "-e", "../x"], 1, "is no name for an environment"),
        (["set", "A B=1"], 1, "'A B' is no variable name"),
        (["init"], 1, "is already a project"),
        (["sync", "dev", "dev"], 2, "source and destination are both dev"),
        (["sync", "a:b:c", ":"], 2, "names no environment"),
        (["run"], 2, "no command to run"),
        (["run", "--", "no-such-command-here"], 127, "there is no command"),
        (["run", "--", "/"], 126, "cannot be run"),
        (["switch", "dev", "--inherits", "x"], 2, "--inherits needs --create"),
    ],
)
def test_errors_are_one_line_with_a_status(
    arguments: list[str], status: int, message: str, capsys: Capture
) -> None:
    assert main(arguments) == status
    shown = capsys.readouterr().err
    assert shown.startswith("error: ")
    assert message in shown
    assert shown.count("\n") == 1


def test_sync_shows_a_masked_difference_and_stops_on_dry_run(capsys: Capture) -> None:
    main(["set", "-e", "dev", "A=new", "B=1", "API_KEY=hunter2"])
    main(["set", "-e", "test", "A=old", "C=3"])
    capsys.readouterr()

    assert main(["sync", "dev", "test", "--dry-run"]) == 0

    assert capsys.readouterr().out.splitlines() == [
        f"+ API_KEY={MASK}",
        "+ B=1",
        "~ A: old -> new",
        "= C (only in test)",
    ]
    main(["list", "-e", "test"])
    assert capsys.readouterr().out == "A=old\nC=3\n"


def test_sync_asks_and_without_a_terminal_needs_yes(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    main(["set", "-e", "dev", "A=1"])
    feed(monkeypatch, "y\n")

    assert main(["sync", "dev", "test"]) == 2

    assert "Pass --yes" in capsys.readouterr().err


def test_sync_takes_a_snapshot_before_it_writes(project: Path, capsys: Capture) -> None:
    main(["set", "-e", "dev", "A=new"])
    main(["set", "-e", "test", "A=old", "C=3"])

    assert main(["sync", "dev", "test", "--yes"]) == 0

    (snapshot,) = (project / ".envcli" / "snapshots").iterdir()
    assert snapshot.read_text() == "A=old\nC=3\n"
    capsys.readouterr()
    main(["list", "-e", "test"])
    assert capsys.readouterr().out == "A=new\nC=3\n"


def test_sync_deletes_only_when_told(capsys: Capture) -> None:
    main(["set", "-e", "dev", "A=1"])
    main(["set", "-e", "test", "A=1", "C=3"])

    assert main(["sync", "dev", "test", "--yes", "--delete"]) == 0

    capsys.readouterr()
    main(["list", "-e", "test"])
    assert capsys.readouterr().out == "A=1\n"


def test_sync_with_an_unknown_scheme_names_the_search(capsys: Capture) -> None:
    assert main(["sync", "aws-sm:prod", "prod"]) == 1
    assert "Run: envcli plugin search aws-sm" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "strict", "status"),
    [("A=1", False, 0), ("A_TOKEN=changeme", False, 1), ("A=1\nA=2", False, 2), ("A=1\nA=2", True, 1)],
)
def test_validate_says_by_its_status(
    project: Path, text: str, strict: bool, status: int, capsys: Capture
) -> None:
    (project / ".envcli" / "environments" / "local.env").write_text(text)

    assert main(["validate", *(["--strict"] if strict else [])]) == status

    if status:
        assert "local: " in capsys.readouterr().out


def test_validate_all_as_json(project: Path, capsys: Capture) -> None:
    (project / ".envcli" / "environments" / "dev.env").write_text("A_TOKEN=todo\n")

    assert main(["validate", "--all", "--json"]) == 1

    found = read_json(capsys)
    assert isinstance(found, dict)
    assert [finding["rule"] for finding in found["dev"]] == ["placeholder"]
    assert found["prod"] == []


def test_run_replaces_the_process_and_passes_status_and_values(project: Path) -> None:
    main(["set", "GREETING=hello world"])

    done = envcli("run", "--", "sh", "-c", 'printf %s "$GREETING"; exit 7')

    assert (done.returncode, done.stdout) == (7, "hello world")


def test_the_token_is_stored_privately_and_never_printed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Capture
) -> None:
    token = "envcli-e30.eyJpc3MiOiAiaHR0cHM6Ly93ZWIuZXhhbXBsZS5vcmcifQ.c2ln"
    feed(monkeypatch, f"{token}\n")

    assert main(["login"]) == 0

    file = tmp_path / "home" / "config" / "token"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    shown = capsys.readouterr()
    assert "https://web.example.org" in shown.out
    assert token not in shown.out + shown.err
    assert main(["logout"]) == 0
    assert not file.exists()


def test_what_is_no_token_is_not_stored(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Capture
) -> None:
    feed(monkeypatch, "pypi-AgEIcHlwaS5vcmc\n")

    assert main(["login"]) == 1

    assert "no envcli API token" in capsys.readouterr().err
    assert not (tmp_path / "home" / "config" / "token").exists()


def test_audit_show_filters_and_escapes(tmp_path: Path, capsys: Capture) -> None:
    log = tmp_path / "home" / "state" / "audit.jsonl"
    log.parent.mkdir(parents=True)
    events = [
        {"time": "t1", "event": "sandbox.asked", "plugin": "a", "verdict": "denied", "subject": "x\x1b[0m"},
        {"time": "t2", "event": "plugin.called", "plugin": "b"},
        {"time": "t3", "event": "sandbox.syscall-denied", "plugin": "a", "syscall": "connect"},
    ]
    log.write_text("".join(json.dumps(event) + "\n" for event in events))

    assert main(["audit", "show", "--denied"]) == 0
    shown = capsys.readouterr().out
    assert "t1 sandbox.asked a" in shown
    assert "t3 sandbox.syscall-denied a" in shown
    assert "t2" not in shown
    assert "\x1b" not in shown
    main(["audit", "show", "--json", "--plugin", "b", "-n", "1"])
    assert read_json(capsys) == [events[1]]


def test_an_unknown_command_suggests_a_near_one(capsys: Capture) -> None:
    assert main(["swich"]) == 2
    assert "Did you mean: envcli switch" in capsys.readouterr().err


def test_the_version_is_that_of_the_distribution(capsys: Capture) -> None:
    from importlib.metadata import version

    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"envcli {version('envcli-host')}\n"
    assert envcli_host.__version__ == version("envcli-host")


def test_help_lists_every_command_and_imports_no_plugin_code() -> None:
    script = (
        "import sys; from envcli_host.cli.main import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "print([m for m in sys.modules if m.startswith(('envcli_host.plugins', 'envcli_sdk', 'pluggy'))])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout.endswith("[]\n")
    assert all(name in done.stdout for name in COMMANDS)


def test_the_version_needs_next_to_no_imports() -> None:
    script = (
        "import sys; before = set(sys.modules); from envcli_host.cli.main import main; main(['--version'])\n"
        "print(sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout.splitlines()[1] == "['envcli_host', 'envcli_host.cli', 'envcli_host.cli.main']"


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_completion(shell: str, capsys: Capture) -> None:
    assert main(["completion", shell]) == 0
    assert "validate" in capsys.readouterr().out


def test_a_reader_that_leaves_ends_the_command_quietly() -> None:
    main(["set", *(f"NAME_{number}={'x' * 500}" for number in range(400))])
    command = [sys.executable, "-m", "envcli_host.cli.main", "list"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(os.environ)
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""


def test_escapes_leave_ordinary_text_alone() -> None:
    assert escape_controls("Zürich – 東京 🙂") == "Zürich – 東京 🙂"
    assert escape_controls("a\u202eb\u2066c\x9bd\u200be") == "a\\u202eb\\u2066c\\x9bd\\u200be"


def envcli(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run envcli as a process of its own."""
    command = [sys.executable, "-m", "envcli_host.cli.main", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)


def test_progress_is_shown_at_a_terminal_only(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    from envcli_host.cli.progress import terminal_progress

    with terminal_progress() as nothing:
        assert nothing is None
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with terminal_progress() as report:
        assert report is not None
        report("verifying", 0, None)
        assert capsys.readouterr().err == "verifying …\n"
        for done in (1, 50, 100):
            report("a\x1b[2Jb.whl", done, 100)
        report("c.whl", 7, 7)
        report("unending.whl", 7, None)

    assert "\x1b[2J" not in capsys.readouterr().err


def test_a_fresh_clone_has_no_values_and_says_what_to_do(project: Path, capsys: Capture) -> None:
    for name in ("current", "environments"):
        path = project / ".envcli" / name
        path.rename(project / name)

    assert main(["switch"]) == 0
    assert main(["list"]) == 1
    assert "Run: envcli switch NAME (none yet)" in capsys.readouterr().err
    assert main(["switch", "--create", "dev"]) == 0
    assert main(["list"]) == 0


def test_nothing_on_standard_input_is_no_empty_value(project: Path, capsys: Capture) -> None:
    done = envcli("set", "FOO")
    assert done.returncode == 2
    assert (
        "standard input holds no value for FOO. Pipe the value in, or write FOO= for an empty one"
        in done.stderr
    )
    assert main(["set", "FOO="]) == 0
    assert main(["get", "FOO"]) == 0
