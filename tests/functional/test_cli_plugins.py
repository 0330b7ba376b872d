"""The core's commands through installed plugins: synchronisation, validation with repairs, contributed commands."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from common.index_simulator import serve_index
from common.plugin_market import Host, manifest, new_host, new_simulator
from common.private_sigstore import PrivateSigstore
from envcli_host.cli.main import main
from envcli_host.environments.secrecy import MASK

Capture = pytest.CaptureFixture[str]

STORED = '{"HOST": "far", "API_KEY": "from-the-store"}'
# A store whose remote side is a file of the project, so that a later process can pull what was pushed.
STORE = """
import json
from envcli_sdk import Integration, Secret

class Demo(Integration):
    scheme = "demo"

    def initialize(self, ctx):
        self.ctx = ctx

    def pull(self, env):
        kept = json.loads(self.ctx.api.files.read_text("./store.json"))
        return {name: Secret(value) for name, value in kept.items()}

    def push(self, env, changes):
        kept = {name: secret.value for name, secret in self.pull(env).items()}
        kept.update({name: secret.value for name, secret in changes.set.items()})
        for name in changes.delete:
            kept.pop(name)
        self.ctx.api.files.write_text("./store.json", json.dumps(kept))
"""
LYING_STORE = """
from envcli_sdk import Integration, Secret

class Demo(Integration):
    scheme = "demo"

    def pull(self, env):
        return {"GOOD": Secret("1"), "BAD\\nNAME": Secret("x")}
"""
RULES = """
from envcli_sdk import Finding, Fix, Plugin, Secret, Severity, rule

class Demo(Plugin):
    @rule("demo", match=r"_URL$", severity=Severity.error)
    def https_only(self, var):
        if var.value.startswith("http://"):
            fix = Fix(Secret(var.value.replace("http:", "https:", 1)))
            yield Finding(f"{var.name} is not encrypted", variable=var.name, severity=Severity.error, fix=fix)
"""
COMMAND = """
from envcli_sdk import CommandResult, Plugin

class Demo(Plugin):
    def execute(self, command):
        return CommandResult("\\x1b[31mred\\nwords: " + " ".join(command.arguments), 3)
"""
LISTENER = """
import json
from envcli_sdk import Plugin, on

class Demo(Plugin):
    def initialize(self, ctx):
        self.ctx = ctx

    @on("environment.switched")
    def heard(self, event):
        self.ctx.api.files.write_text("./heard.json", json.dumps(dict(event.data)))
"""


@pytest.fixture(scope="session")
def sigstore(tmp_path_factory: pytest.TempPathFactory) -> PrivateSigstore:
    return PrivateSigstore(tmp_path_factory.mktemp("sigstore"))


@pytest.fixture
def host(sigstore: PrivateSigstore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    monkeypatch.setenv("ENVCLI_HOME", str(tmp_path / "home"))
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    with serve_index(new_simulator(sigstore)) as index:
        yield new_host(index, folder)


def install(host: Host, code: str, text: str, capsys: Capture) -> None:
    """Publish a plugin and install it."""
    host.release(code, text)
    assert host.install() == 0
    capsys.readouterr()


@pytest.fixture
def store(host: Host, capsys: Capture) -> Host:
    (host.project.root / "store.json").write_text(STORED)
    text = manifest(("file:read", "./store.json"), ("file:write", "./store.json"), kind="scheme")
    install(host, STORE, text, capsys)
    return host


def test_a_pull_shows_only_masks_and_writes_the_values(store: Host, capsys: Capture) -> None:
    assert main(["sync", "demo:remote", "dev", "--yes"]) == 0

    shown = capsys.readouterr().out
    assert f"+ HOST={MASK}" in shown
    assert f"~ API_KEY: {MASK} -> {MASK}" in shown
    assert "= OTHER (only in dev)" in shown
    assert "from-the-store" not in shown
    assert store.project.values("dev")["API_KEY"] == "from-the-store"
    assert store.project.values("dev")["OTHER"] == "other-of-dev"


def test_a_push_changes_the_store(store: Host, capsys: Capture) -> None:
    assert main(["sync", "dev", "demo:remote", "--yes", "--delete"]) == 0
    assert main(["sync", "demo:remote", "prod", "--yes", "--delete"]) == 0

    assert store.project.values("prod") == {"API_KEY": "key-of-dev-123", "OTHER": "other-of-dev"}
    capsys.readouterr()
    assert main(["sync", "demo:remote", "prod"]) == 0
    assert "have the same values" in capsys.readouterr().out


def test_a_dry_run_calls_no_push(store: Host, capsys: Capture) -> None:
    assert main(["sync", "dev", "demo:remote", "--dry-run", "--json"]) == 0

    document = json.loads(capsys.readouterr().out)
    assert document["added"] == {"OTHER": MASK}
    assert document["surplus"] == ["HOST"]
    assert (store.project.root / "store.json").read_text() == STORED


def test_names_that_no_file_can_hold_are_refused(host: Host, capsys: Capture) -> None:
    install(host, LYING_STORE, manifest(kind="scheme"), capsys)
    before = host.project.values("dev")

    assert main(["sync", "demo:remote", "dev", "--yes"]) == 1

    assert "no variable name" in capsys.readouterr().err
    assert host.project.values("dev") == before


def test_a_plugins_rule_finds_and_repairs(host: Host, capsys: Capture) -> None:
    install(host, RULES, manifest(("variable:read", "*_URL"), kind="rule"), capsys)
    host.project.update("dev", {"API_URL": "http://example.org"})

    assert main(["validate", "-e", "dev"]) == 1
    assert "API_URL is not encrypted [demo] (--fix repairs it)" in capsys.readouterr().out
    main(["validate", "-e", "dev", "--fix"])

    assert "API_URL" not in capsys.readouterr().out
    assert host.project.values("dev")["API_URL"] == "https://example.org"
    assert list((host.project.folder / "snapshots").glob("dev@*.env"))


def test_a_contributed_command_prints_safely_and_sets_the_status(host: Host, capsys: Capture) -> None:
    install(host, COMMAND, manifest(), capsys)

    assert main(["demo", "a", "b"]) == 3

    assert capsys.readouterr().out == "\\x1b[31mred\nwords: a b\n"


def test_plugins_hear_of_what_happened(host: Host, capsys: Capture) -> None:
    (host.project.root / "heard.json").touch()
    text = manifest(("file:write", "./heard.json"), kind="event", name="environment.switched/1")
    install(host, LISTENER, text, capsys)

    assert main(["switch", "prod"]) == 0

    assert json.loads((host.project.root / "heard.json").read_text()) == {"environment": "prod"}
    assert capsys.readouterr().err == ""
