"""From a signed release to a sandboxed call, through the real command line, on real parts."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from common.index_simulator import make_wheel, serve_index
from common.plugin_market import NAME, Host, manifest, new_host, new_simulator
from common.private_sigstore import PrivateSigstore
from envcli_host.cli.main import main
from envcli_host.plugins.integrity import verify_unchanged
from envcli_host.plugins.registry import Registry

CODE = """
from envcli_sdk import Plugin, command
import greeting

class Demo(Plugin):
    def initialize(self, ctx):
        self.ctx = ctx

    @command("demo")
    def demo(self, *words):
        return greeting.TEXT + " " + self.ctx.api.environments.get("dev", words[0]).value
"""
LIBRARY = {"greeting/__init__.py": b"TEXT = 'hello'\n"}
TEXT = manifest(("variable:read", "dev:API_*"))


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


@pytest.fixture
def released(host: Host) -> Host:
    library = make_wheel("greeting", "1.0", LIBRARY)
    host.release(CODE, TEXT, closure=(library,), requires=("greeting",))
    return host


def test_install_then_run(released: Host, capsys: pytest.CaptureFixture[str]) -> None:
    assert released.install(risk="medium") == 0
    shown = capsys.readouterr().err
    assert main(["demo", "API_KEY"]) == 0

    assert capsys.readouterr().out == "hello key-of-dev-123\n"
    for fact in (
        "Example Publisher",
        "PASSED",
        "reviewed by alice",
        "[medium] variable:read dev:API_*: to work",
    ):
        assert fact in shown
    assert [event["event"] for event in released.events("plugin.installed")] == ["plugin.installed"]


def test_a_call_is_audited_without_values(released: Host) -> None:
    released.install()
    main(["demo", "API_KEY"])
    assert main(["demo", "OTHER"]) == 1

    asked = [(e["subject"], e["verdict"]) for e in released.events("sandbox.asked")]
    assert asked == [("dev:API_KEY", "allowed"), ("dev:OTHER", "denied")]
    assert "key-of-dev" not in released.paths.audit_file.read_text()
    one = released.events("sandbox.asked")[0]
    assert {"user", "session", "plugin", "version", "tier", "policy", "time"} <= set(one)


def test_the_tree_is_compiled_listed_and_read_only(released: Host) -> None:
    released.install()
    record = Registry.load(released.paths).find("demo")
    release = record.release_dir(released.paths)

    assert list((release / "tree" / "envcli_plugin_demo" / "__pycache__").glob("main.*.pyc"))
    assert all(not path.stat().st_mode & 0o222 for path in (release / "tree").rglob("*"))
    assert verify_unchanged(release, record.tree_sha256)
    assert main(["plugin", "verify"]) == 0


def test_an_untouched_copy_with_other_times_is_hashed_and_accepted(released: Host) -> None:
    released.install()
    record = Registry.load(released.paths).find("demo")
    release = record.release_dir(released.paths)
    (release / "tree" / "greeting" / "__init__.py").touch()

    assert not verify_unchanged(release, record.tree_sha256)
    assert verify_unchanged(release, record.tree_sha256)


def test_installing_again_changes_nothing(released: Host, capsys: pytest.CaptureFixture[str]) -> None:
    released.install()
    before = released.store_state()
    assert released.install() == 0

    assert released.store_state() == before
    assert "installed already" in capsys.readouterr().err


def test_reinstall_replaces_the_tree(released: Host) -> None:
    released.install()
    assert released.install("--reinstall") == 0
    assert main(["plugin", "verify", "demo"]) == 0
    assert not list(released.paths.plugins_dir.glob(".*"))


def test_update_replaces_the_old_version(released: Host) -> None:
    released.install()
    released.release(CODE.replace("hello", "hi"), TEXT, version="1.1.0", closure=(), requires=())

    assert released.install() == 0
    assert [path.name for path in (released.paths.plugins_dir / NAME).iterdir()] == ["1.1.0"]


def test_remove_forgets_everything(released: Host) -> None:
    released.install()
    assert main(["plugin", "remove", NAME]) == 0

    assert released.registry() == {}
    assert json.loads(released.paths.grants_file.read_text())["plugins"] == {}
    assert list((released.paths.plugins_dir / NAME).iterdir()) == []
    assert main(["demo", "API_KEY"]) == 2


def test_a_needed_plugin_is_installed_first_with_grants_of_its_own(host: Host) -> None:
    base = manifest(("api:call", "environments.names"), name="base", plugin_id="base")
    host.release(
        "from envcli_sdk import Plugin\nclass Demo(Plugin): ...\n",
        base,
        name="envcli-plugin-base",
        plugin_id="base",
    )
    host.release(CODE, TEXT, requires=("envcli-plugin-base",))

    assert host.install() == 0
    assert set(host.registry()) == {"envcli-plugin-base", NAME}
    assert main(["plugin", "remove", "base"]) == 1
    assert set(json.loads(host.paths.grants_file.read_text())["plugins"]) == {"envcli-plugin-base", NAME}


def test_list_and_permissions_speak_json(released: Host, capsys: pytest.CaptureFixture[str]) -> None:
    released.install()
    capsys.readouterr()
    main(["plugin", "list", "--json"])
    listed = json.loads(capsys.readouterr().out)
    main(["plugin", "permissions", "demo", "--json"])
    permissions = json.loads(capsys.readouterr().out)

    assert (listed[0]["id"], listed[0]["verified"], listed[0]["index"]) == ("demo", True, "test")
    assert permissions[0]["state"] == "granted"


def test_a_revoked_permission_is_denied_and_not_given_back_by_yes(released: Host) -> None:
    released.install()
    assert main(["plugin", "permissions", "demo", "--revoke", "variable:read"]) == 0
    assert main(["demo", "API_KEY"]) == 1
    assert released.install("--reinstall") == 0
    assert main(["demo", "API_KEY"]) == 1
    assert main(["plugin", "permissions", "demo", "--grant", "--yes", "--allow-risk", "critical"]) == 2


def test_a_name_that_is_taken_is_refused(released: Host) -> None:
    released.install()
    released.release(CODE, manifest(plugin_id="other"), name="envcli-plugin-other", plugin_id="other")

    before = released.store_state()
    assert released.install(name="envcli-plugin-other") == 1
    assert released.store_state() == before
