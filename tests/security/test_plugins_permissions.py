"""A plugin holds what it was granted: every other attempt is denied, named in the audit, and no secret leaks."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from common.index_simulator import serve_index
from common.plugin_market import Host, manifest, new_host, new_simulator
from common.private_sigstore import PrivateSigstore
from envcli_host.cli.main import main

ATTEMPTS = """
import json, os, socket, subprocess
from pathlib import Path
from envcli_sdk import Plugin, command

class Demo(Plugin):
    def initialize(self, ctx):
        self.ctx = ctx

    @command("demo")
    def demo(self, project):
        api = self.ctx.api
        attempts = {
            "file:read": lambda: Path(project, ".envcli/environments/dev.env").read_text(),
            "file:read by the broker": lambda: api.files.read_text(f"{project}/notes.txt"),
            "file:read by list": lambda: api.files.list(f"{project}/*"),
            "file:write": lambda: Path(project, "new.txt").write_text("x"),
            "file:write by the broker": lambda: api.files.write_text(f"{project}/new.txt", "x"),
            "network:connect": lambda: socket.create_connection(("127.0.0.1", 9), 2),
            "network:connect by the api": lambda: api.network.connect("127.0.0.1", 9),
            "variable:read": lambda: api.environments.get("dev", "API_KEY"),
            "variable:read list": lambda: api.environments.variables("dev"),
            "variable:write": lambda: api.environments.set("dev", "API_KEY", "x"),
            "api:call": lambda: api.environments.names(),
            "api:call crypto": lambda: api.crypto.seal(b"x"),
            "process:spawn": lambda: subprocess.run(["/bin/true"], check=True),
            "process:spawn by fork": os.fork,
            "system:*": lambda: os.sched_setaffinity(os.getppid(), {0}),
            "config": lambda: self.ctx.api.configuration._host.ask("config.get", {"name": "token"}),
            "unknown": lambda: self.ctx.api.configuration._host.ask("host.shell", {"name": "id"}),
            "malformed": lambda: self.ctx.api.configuration._host.ask("variable.read", {"environment": ["dev"]}),
        }
        outcome = {}
        for name, attempt in attempts.items():
            try:
                attempt()
                outcome[name] = "got through"
            except BaseException as error:
                outcome[name] = type(error).__name__
        return json.dumps(outcome)
"""


@pytest.fixture(scope="session")
def sigstore(tmp_path_factory: pytest.TempPathFactory) -> PrivateSigstore:
    return PrivateSigstore(tmp_path_factory.mktemp("sigstore"))


@pytest.fixture
def host(sigstore: PrivateSigstore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    monkeypatch.setenv("ENVCLI_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("ENVCLI_TOKEN", raising=False)
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "notes.txt").write_text("notes")
    monkeypatch.chdir(tmp_path / "project")
    with serve_index(new_simulator(sigstore)) as index:
        yield new_host(index, tmp_path / "project")


def test_nothing_granted_nothing_done(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    host.release(ATTEMPTS, manifest())
    host.install()
    capsys.readouterr()
    main(["demo", str(host.project.root)])
    outcome = json.loads(capsys.readouterr().out)

    assert [name for name, result in outcome.items() if result == "got through"] == []
    assert not (host.project.root / "new.txt").exists()
    assert host.project.values("dev")["API_KEY"] == "key-of-dev-123"


def test_the_base_tier_denies_the_same(host: Host) -> None:
    host.release(ATTEMPTS, manifest())
    host.install()
    environment = {**os.environ, "PATH": str(Path(sys.executable).parent)}
    command = [sys.executable, "-m", "envcli_host.cli.main", "demo", str(host.project.root)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    assert "got through" not in done.stdout
    assert len(json.loads(done.stdout)) > 10
    assert host.events("sandbox.opened")[-1]["tier"] == "base"


def test_every_attempt_stands_in_the_audit(host: Host) -> None:
    host.release(ATTEMPTS, manifest())
    host.install()
    main(["demo", str(host.project.root)])

    asked = {(str(e["ask"]), str(e["verdict"])) for e in host.events("sandbox.asked")}
    denied = {"file.open", "file.list", "network.connect", "variable.read", "variable.list", "variable.write"}
    assert {ask for ask, verdict in asked if verdict == "denied"} >= denied | {
        "api.call",
        "crypto.seal",
        "config.get",
    }
    assert all(verdict == "denied" for _, verdict in asked)
    refused = {str(event["syscall"]) for event in host.events("sandbox.syscall-denied")}
    assert refused & {"fork", "clone", "vfork", "clone3"}
    tried = {str(event["subject"]) for event in host.events("file.attempted")}
    assert f"{host.project.root}/.envcli/environments/dev.env" in tried


GRANTED = """
from pathlib import Path
from envcli_sdk import Plugin, command

class Demo(Plugin):
    def initialize(self, ctx):
        self.ctx = ctx

    @command("demo")
    def demo(self, what, *words):
        api = self.ctx.api
        actions = {
            "read": lambda: Path(words[0]).read_text(),
            "write": lambda: Path(words[0]).write_text("written"),
            "broker-read": lambda: api.files.read_text(words[0]),
            "broker-write": lambda: api.files.write_text(words[0], "written"),
            "list": lambda: " ".join(Path(path).name for path in api.files.list(words[0])),
            "set": lambda: api.environments.set(words[0], words[1], words[2]),
            "get": lambda: api.environments.get(words[0], words[1]).value,
            "fail": lambda: 1 / len(api.environments.get("dev", "API_KEY").value[:0]),
            "leak": lambda: self.leak(api.environments.get("dev", "API_KEY").value),
            "seal": lambda: api.crypto.unseal(api.crypto.seal(b"sealed")).decode(),
        }
        return actions[what]()

    def leak(self, value):
        self.ctx.log.warning(f"the key is {value}")
        raise RuntimeError(f"the key is {value}")
"""


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    capsys.readouterr()
    status = main(["demo", *words])
    captured = capsys.readouterr()
    return status, captured.out.strip() or captured.err


def test_granted_folders_open_and_nothing_beside_them(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    root = host.project.root
    (root / "in").mkdir()
    (root / "in" / "a.txt").write_text("content")
    (root / "out").mkdir()
    grants = (
        ("file:read", "./in"),
        ("file:read", "./out"),
        ("file:write", "./out"),
        ("file:read", "./*.json"),
    )
    host.release(GRANTED, manifest(*grants))
    (root / "x.json").write_text("{}")
    (root / "x.secret").write_text("s")
    host.install()

    assert run(capsys, "read", f"{root}/in/a.txt") == (0, "content")
    assert run(capsys, "write", f"{root}/out/b.txt")[0] == 0
    assert run(capsys, "write", f"{root}/in/a.txt")[0] == 1
    assert run(capsys, "broker-read", "./x.json") == (0, "{}")
    assert run(capsys, "broker-read", "./x.secret")[0] == 1
    assert run(capsys, "broker-read", "./in/../x.secret")[0] == 1
    assert run(capsys, "broker-write", "./in/a.txt")[0] == 1
    assert run(capsys, "broker-write", "./out/c.txt")[0] == 0
    assert run(capsys, "list", "./*") == (0, "x.json")
    assert ((root / "in/a.txt").read_text(), (root / "out/c.txt").read_text()) == ("content", "written")


def test_no_link_leads_out_of_a_granted_folder(
    host: Host, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    root = host.project.root
    (tmp_path / "outside.json").write_text("outside")
    (root / "in").mkdir()
    (root / "in" / "link.json").symlink_to(tmp_path / "outside.json")
    (root / "in" / "folder").symlink_to(tmp_path)
    host.release(GRANTED, manifest(("file:read", "./in/*.json"), ("file:read", "./in/*/*.json")))
    host.install()

    assert run(capsys, "broker-read", "./in/link.json")[0] == 1
    assert run(capsys, "broker-read", "./in/folder/outside.json")[0] == 1
    assert run(capsys, "list", "./in/*") == (0, "")


@pytest.mark.parametrize(
    "scope",
    [
        "/",
        "{above}",
        "{home}",
        "{home}/data/plugins",
        "{home}/state/audit.jsonl",
        "./",
        "./.envcli/environments",
        "/proc",
        "/dev",
        "{prefix}",
    ],
)
@pytest.mark.parametrize("permission", ["file:read", "file:write"])
def test_no_grant_reaches_what_confines_it(host: Host, scope: str, permission: str, tmp_path: Path) -> None:
    scope = (
        scope.replace("{above}", str(tmp_path))
        .replace("{home}", str(tmp_path / "home"))
        .replace("{prefix}", sys.prefix)
    )
    host.release(GRANTED, manifest((permission, scope)))
    host.install()

    assert main(["demo", "get", "dev", "API_KEY"]) == 1
    reason = str(host.events("plugin.refused")[-1]["reason"])
    assert "no plugin may be granted" in reason or "reaches the interpreter" in reason


def test_a_granted_folder_that_became_a_link_is_refused(host: Host, tmp_path: Path) -> None:
    (host.project.root / "in").symlink_to(tmp_path / "home")
    host.release(GRANTED, manifest(("file:read", "./in")))
    host.install()

    assert main(["demo", "get", "dev", "API_KEY"]) == 1
    assert "symbolic link" in str(host.events("plugin.refused")[-1]["reason"])


def test_variables_are_released_by_name_and_environment(
    host: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    grants = (("variable:read", "dev:API_*"), ("variable:write", "dev:NEW_*"), ("api:call", "crypto.*"))
    host.release(GRANTED, manifest(*grants))
    host.install()

    assert run(capsys, "get", "dev", "API_KEY") == (0, "key-of-dev-123")
    assert run(capsys, "get", "prod", "API_KEY")[0] == 1
    assert run(capsys, "get", "dev", "OTHER")[0] == 1
    assert run(capsys, "set", "dev", "NEW_ONE", "1")[0] == 0
    assert run(capsys, "set", "dev", "API_KEY", "1")[0] == 1
    assert run(capsys, "set", "prod", "NEW_ONE", "1")[0] == 1
    assert run(capsys, "seal") == (0, "sealed")
    assert host.project.values("dev")["NEW_ONE"] == "1"


def test_no_secret_in_errors_logs_or_audit(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    host.release(GRANTED, manifest(("variable:read", "dev:API_*")))
    host.install()

    status, shown = run(capsys, "leak")
    audit = host.paths.audit_file.read_text()
    assert status == 1
    assert "RuntimeError: the key is" in shown
    assert "plugin.logged" in audit
    assert "key-of-dev-123" not in shown + audit
    assert host.paths.audit_file.stat().st_mode & 0o777 == 0o600


def test_an_audit_that_cannot_be_written_stops_the_plugin(
    host: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    host.release(GRANTED, manifest(("variable:read", "dev:API_*")))
    host.install()
    host.paths.audit_file.unlink()
    host.paths.audit_file.mkdir()

    status, shown = run(capsys, "get", "dev", "API_KEY")
    assert status == 1
    assert "audit log" in shown
    assert "key-of-dev-123" not in shown
