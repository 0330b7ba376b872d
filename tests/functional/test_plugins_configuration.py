"""Instances: configuration, secrets and the scopes that follow from them; stores, rules, events, links, pointers."""

import json
import os
import pty
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from common.index_simulator import serve_index
from common.plugin_market import NAME, Host, manifest, new_host, new_simulator, plugin_wheel
from common.private_sigstore import PrivateSigstore
from envcli_host.cli.main import main
from envcli_host.plugins.events import publish
from envcli_host.plugins.proxy import PluginHost
from envcli_sdk import EnvironmentScan, EnvironmentValidation, Event, ScanResult, Var

STORE = """
import json
from dataclasses import dataclass
from urllib.request import Request, urlopen
from envcli_sdk import Integration, Secret

@dataclass
class Config:
    url: str
    token: Secret

class Demo(Integration):
    scheme, config = "store", Config

    def initialize(self, ctx):
        self.config = ctx.config

    def _send(self, path, body=None):
        headers = {"X-Token": self.config.token.value}
        data = None if body is None else json.dumps(body).encode()
        with urlopen(Request(self.config.url + path, data, headers), timeout=5) as answer:
            return json.load(answer)

    def pull(self, env):
        return {name: Secret(value) for name, value in self._send("/" + env).items()}

    def push(self, env, changes):
        self._send("/" + env, {name: secret.value for name, secret in changes.set.items()})
"""
STORE_TEXT = manifest(
    ("network:connect", "{config.url}"),
    kind="scheme",
    name="store",
    config='[config.url]\ntype = "string"\nrequired = true\n[config.token]\ntype = "secret"\nrequired = true',
)


@pytest.fixture(scope="session")
def sigstore(tmp_path_factory: pytest.TempPathFactory) -> PrivateSigstore:
    return PrivateSigstore(tmp_path_factory.mktemp("sigstore"))


@pytest.fixture
def host(sigstore: PrivateSigstore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    monkeypatch.setenv("ENVCLI_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("ENVCLI_TOKEN", raising=False)
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    with serve_index(new_simulator(sigstore)) as index:
        yield new_host(index, tmp_path / "project")


@contextmanager
def secret_store(token: str) -> Iterator[tuple[str, dict[str, dict[str, str]]]]:
    """A store over HTTP that wants a token."""
    kept: dict[str, dict[str, str]] = {"prod": {"REMOTE": "remote-value-1"}}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(kept[self.path[1:]])

        def do_POST(self) -> None:
            kept[self.path[1:]].update(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self._answer({})

        def _answer(self, body: dict[str, str]) -> None:
            self.send_response(200 if self.headers["X-Token"] == token else 403)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *args: object) -> None:
            """Stay silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", kept
    finally:
        server.shutdown()
        server.server_close()


def configure(*words: str, secret: str | None = None) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "envcli_host.cli.main", "plugin", "configure", "demo", *words]
    return subprocess.run(command, input=secret, capture_output=True, text=True, check=False)


def test_a_store_is_configured_agreed_to_and_used(host: Host) -> None:
    host.release(STORE, STORE_TEXT)
    host.install()
    with secret_store("t0ken-value") as (url, kept):
        done = configure(
            f"url={url}", "--secret", "token", "--yes", "--allow-risk", "high", secret="t0ken-value\n"
        )
        assert done.returncode == 0, done.stderr
        assert f"network:connect {url.removeprefix('http://')}" in done.stderr
        assert main(["sync", "store:prod", "prod", "--yes"]) == 0
        host.project.update("dev", {"ONLY_HERE": "local-value-2"})
        assert main(["sync", "dev", "store:prod", "--yes"]) == 0

        assert host.project.values("prod")["REMOTE"] == "remote-value-1"
        assert kept["prod"]["ONLY_HERE"] == "local-value-2"
    audit = host.paths.audit_file.read_text()
    assert not [
        value for value in ("t0ken-value", "remote-value-1", "local-value-2") if value in audit + done.stdout
    ]
    assert {"token"} == {e["subject"] for e in host.events("sandbox.asked") if e["ask"] == "config.get"}


def test_a_secret_may_be_a_variable_of_a_named_environment(host: Host) -> None:
    host.release(STORE, STORE_TEXT)
    host.install()
    with secret_store("key-of-dev-123") as (url, _):
        done = configure(
            f"url={url}", "--secret-from", "token=dev:API_KEY", "--yes", "--allow-risk", "medium"
        )
        assert done.returncode == 0, done.stderr
        assert main(["sync", "store:prod", "prod", "--yes"]) == 0
    assert "token from dev:API_KEY" in {e["subject"] for e in host.events("sandbox.asked")}


def test_secrets_are_refused_on_the_command_line_and_in_a_shared_file(host: Host) -> None:
    host.release(STORE, STORE_TEXT)
    host.install()
    done = configure("token=visible-to-all", "--yes")
    assert done.returncode == 2
    assert "visible-to-all" not in done.stderr

    config = host.project.folder / "config.toml"
    config.write_text(
        config.read_text() + '\n[plugins.demo]\nurl = "http://127.0.0.1:9"\ntoken = "shared-with-all"\n'
    )
    assert main(["sync", "store:prod", "prod", "--yes"]) == 1
    assert "holds the secret token" in str(host.events("plugin.refused")[-1]["reason"])


def test_a_changed_scope_is_asked_again_and_never_by_yes(
    host: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    host.release(STORE, STORE_TEXT)
    host.install()
    configure("url=http://127.0.0.1:9", "--secret-from", "token=dev:API_KEY", "--yes", "--allow-risk", "high")
    stored = host.paths.config / "plugins" / "demo.json"
    stored.write_text(stored.read_text().replace("127.0.0.1:9", "evil.example.org"))

    assert main(["sync", "store:prod", "prod", "--yes"]) == 1
    assert "evil.example.org:80, which nobody granted" in str(host.events("plugin.refused")[-1]["reason"])
    assert main(["plugin", "permissions", "demo", "--grant", "--yes", "--allow-risk", "critical"]) == 2
    assert "--yes never grants" in capsys.readouterr().err
    assert stored.stat().st_mode & 0o777 == 0o600


def test_a_configuration_that_is_declined_is_not_kept(host: Host) -> None:
    host.release(STORE, STORE_TEXT)
    host.install()
    done = configure("url=http://127.0.0.1:9", "--secret-from", "token=dev:API_KEY")
    assert done.returncode == 2
    assert configure().returncode == 1


def test_instances_are_granted_one_by_one(host: Host) -> None:
    host.release(STORE, STORE_TEXT)
    host.install()
    with secret_store("key-of-dev-123") as (url, _):
        one = ["--instance", "one", f"url={url}", "--secret-from", "token=dev:API_KEY"]
        assert configure(*one, "--yes", "--allow-risk", "medium").returncode == 0
        assert main(["sync", "store@one:prod", "prod", "--yes"]) == 0
        assert main(["sync", "store:prod", "prod", "--yes"]) == 1


def test_an_answer_at_the_terminal_installs(host: Host) -> None:
    host.release(STORE, STORE_TEXT)
    for answer, status in ((b"n\n", 2), (b"y\n", 0)):
        leader, follower = pty.openpty()
        command = [sys.executable, "-m", "envcli_host.cli.main", "plugin", "install", NAME]
        started = subprocess.Popen(command, stdin=follower, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        os.write(leader, answer)
        shown, _ = started.communicate(timeout=60)
        os.close(leader)
        os.close(follower)
        assert started.returncode == status, shown
        assert b"? [y/N]" in shown


RULES = """
from envcli_sdk import Plugin, Var, on, rule

class Demo(Plugin):
    def initialize(self, ctx):
        self.ctx = ctx

    @rule("demo")
    def short(self, var: Var):
        yield f"{var.name} seen"

    @on("sync.completed")
    def heard(self, event):
        if event.data.get("fail"):
            raise RuntimeError("will not")
        self.ctx.log.info(f"heard {event.name}")
"""
RULES_TEXT = manifest(
    ("variable:read", "*:API_*"),
    kind="rule",
    more='[[contributes]]\nkind = "event"\nname = "sync.completed/1"\nsummary = "Listens"',
)


def test_rules_see_only_what_is_granted(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    host.release(RULES, RULES_TEXT)
    host.install()
    capsys.readouterr()

    assert main(["validate", "-e", "dev"]) == 2
    out = capsys.readouterr().out
    assert "API_KEY seen" in out
    assert "OTHER" not in out
    released = host.events("variable.released")[-1]
    assert (released["released"], released["withheld"]) == (["API_KEY"], ["OTHER"])


def test_hooks_reach_plugins_through_their_proxies(host: Host) -> None:
    host.release(RULES, RULES_TEXT)
    host.install()
    with PluginHost(host.paths, host.project) as plugins:
        command = EnvironmentValidation("dev", (Var("API_KEY", "x", "dev"),))
        found = plugins.hook.envcli_validate_environment(command=command)
        scanned = plugins.hook.envcli_scan_environment(command=EnvironmentScan(()))
        synced = plugins.hook.envcli_sync_environment(scheme="store", command=None)
        plugins.hook.envcli_handle_event(event=Event("sync.completed/1"))
        plugins.hook.envcli_handle_event(event=Event("other.thing/1"))

    assert [finding.message for result in found for finding in result.findings] == ["API_KEY seen"]
    assert scanned == [ScanResult()]
    assert synced is None
    assert [event["message"] for event in host.events("plugin.logged")] == ["heard sync.completed/1"]
    assert len(host.events("sandbox.opened")) == 1


def test_events_reach_subscribers_and_failures_hold_nobody_up(host: Host) -> None:
    host.release(RULES, RULES_TEXT)
    host.install()

    assert publish(Event("sync.completed/1", {"environment": "dev"}), host.paths, host.project) == ()
    assert publish(Event("env.switched/1"), host.paths, host.project) == ()
    (failure,) = publish(Event("sync.completed/1", {"fail": True}), host.paths, host.project)
    assert "RuntimeError: will not" in failure


def write_folder(folder: Path, code: str, text: str) -> Path:
    package = folder / "src" / "envcli_plugin_demo"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "main.py").write_text(code)
    (package / "plugin.toml").write_text(text)
    (folder / "pyproject.toml").write_text(
        '[project]\nname = "envcli-plugin-demo"\nversion = "0.1"\ndependencies = ["envcli-sdk>=0.1"]\n'
        '[project.entry-points."envcli.plugins"]\ndemo = "envcli_plugin_demo.main:Demo"\n'
    )
    return folder


COMMAND = """
from envcli_sdk import Plugin, command
class Demo(Plugin):
    @command("demo")
    def demo(self):
        return "ran as " + self.metadata.id
"""


def test_a_linked_folder_is_unverified_and_sandboxed(
    host: Host, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_folder(tmp_path / "source", COMMAND, manifest())
    assert main(["plugin", "dev", str(folder), "--yes"]) == 0
    assert "UNVERIFIED" in capsys.readouterr().err
    assert main(["demo"]) == 0
    assert capsys.readouterr().out == "ran as demo\n"
    assert host.events("sandbox.opened")[0]["policy"] == "strict"

    main(["plugin", "list"])
    assert "UNVERIFIED (linked)" in capsys.readouterr().out
    assert main(["plugin", "verify", "demo"]) == 1
    assert main(["plugin", "remove", "demo"]) == 0
    assert folder.is_dir()


def test_a_linked_folder_that_asks_for_more_is_asked_again(host: Host, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "source", COMMAND, manifest())
    main(["plugin", "dev", str(folder), "--yes"])
    (folder / "src" / "envcli_plugin_demo" / "plugin.toml").write_text(
        manifest(("api:call", "environments.names"))
    )

    assert main(["demo"]) == 1
    assert main(["plugin", "dev", str(folder), "--yes", "--allow-risk", "critical"]) == 2


def test_a_link_gets_nothing_of_critical_risk(host: Host, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "source", COMMAND, manifest(("file:write", "/srv/data")))
    main(["plugin", "dev", str(folder), "--yes", "--allow-risk", "critical"])

    assert main(["demo"]) == 1
    assert "strict policy" in str(host.events("plugin.refused")[-1]["reason"])


def test_a_link_never_replaces_a_verified_install(host: Host, tmp_path: Path) -> None:
    host.release(COMMAND, manifest())
    host.install()
    folder = write_folder(tmp_path / "source", COMMAND, manifest())
    before = host.store_state()

    assert main(["plugin", "dev", str(folder), "--yes"]) == 1
    assert host.store_state() == before


@pytest.mark.parametrize("content", ["", "[project]\nname = 'x'\n", "nonsense ["])
def test_a_folder_that_is_no_plugin_is_refused(host: Host, tmp_path: Path, content: str) -> None:
    (tmp_path / "pyproject.toml").write_text(content)
    assert main(["plugin", "dev", str(tmp_path), "--yes"]) == 1


def test_what_pip_installed_is_a_pointer_and_never_imported(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    trap = COMMAND + f"\nopen({str(tmp_path / 'imported')!r}, 'w')\n"
    wheel = plugin_wheel(trap, manifest())
    beside = tmp_path / "beside"
    (tmp_path / wheel.filename).write_bytes(wheel.content)
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "install",
            "-q",
            "--no-deps",
            "--target",
            str(beside),
            str(tmp_path / wheel.filename),
        ],
        check=True,
    )
    monkeypatch.syspath_prepend(str(beside))

    assert main(["demo"]) == 2
    assert f"Run: envcli plugin install {NAME}==1.0.0" in capsys.readouterr().err
    main(["plugin", "list", "--json"])
    listed = json.loads(capsys.readouterr().out)
    assert [(item["origin"], item["project"]) for item in listed] == [("pointer", NAME)]

    host.release(COMMAND, manifest())
    assert host.install() == 0
    capsys.readouterr()
    assert main(["demo"]) == 0
    assert capsys.readouterr().out == "ran as demo\n"
    assert not (tmp_path / "imported").exists()


def test_doctor_says_what_is_wrong(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    host.release(COMMAND, manifest())
    host.install()
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "evil.pth").write_text("import os; os.environ['X'] = 'x'\n")
    monkeypatch.setattr("site.getsitepackages", lambda: [str(tmp_path / "site")])
    capsys.readouterr()

    assert main(["plugin", "doctor", "--json"]) == 0
    found = {item["subject"]: item for item in json.loads(capsys.readouterr().out)}
    assert "evil.pth runs code whenever" in found["startup"]["message"]
    assert found["demo"]["level"] == "ok"
    assert found["sandbox"]["message"].startswith("tiers: ")
    host.index.take_down(NAME, ["1.0.0"])
    main(["index", "refresh", "test"])
    assert main(["plugin", "doctor"]) == 1
