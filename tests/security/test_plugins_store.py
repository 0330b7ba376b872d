"""Whatever is changed in or around the store after install, the plugin does not run; failures change nothing."""

import hashlib
import io
import json
import os
import resource
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from common.index_simulator import Wheel, make_wheel, serve_index
from common.plugin_market import NAME, PACKAGE, Host, manifest, new_host, new_simulator, plugin_wheel
from common.private_sigstore import PrivateSigstore
from envcli_host.cli.main import main
from envcli_host.plugins.errors import InstallError, ModifiedError
from envcli_host.plugins.integrity import LIST, verify_tree
from envcli_host.plugins.registry import Registry
from envcli_host.plugins.store import PinnedWheel, stage

CODE = """
from envcli_sdk import Plugin, command

class Demo(Plugin):
    @command("demo")
    def demo(self, *words):
        return "ran"
"""
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
def installed(host: Host) -> Host:
    host.release(CODE, TEXT)
    assert host.install() == 0
    assert main(["demo"]) == 0
    return host


def release_of(host: Host) -> Path:
    return Registry.load(host.paths).find("demo").release_dir(host.paths)


def writable(path: Path) -> Path:
    """The same user can always do this; it must be noticed."""
    path.parent.chmod(0o755)
    if path.exists() and not path.is_symlink():
        path.chmod(0o644)
    return path


def flip(path: Path) -> None:
    content = bytearray(writable(path).read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def flip_keeping_times(path: Path) -> None:
    before = path.stat()
    flip(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


TAMPERINGS: dict[str, Callable[[Path], object]] = {
    "one-byte-of-source": lambda tree: flip(tree / PACKAGE / "main.py"),
    "one-byte-with-old-times": lambda tree: flip_keeping_times(tree / PACKAGE / "main.py"),
    "one-byte-of-compiled-code": lambda tree: flip(next((tree / PACKAGE / "__pycache__").glob("main.*.pyc"))),
    "file-added": lambda tree: writable(tree / PACKAGE / "more.py").write_text("x = 1"),
    "folder-added": lambda tree: writable(tree / "empty").mkdir(),
    "module-shadowed": lambda tree: writable(tree / "envcli_sdk.py").write_text("x = 1"),
    "file-removed": lambda tree: writable(tree / PACKAGE / "__init__.py").unlink(),
    "symlink-added": lambda tree: writable(tree / "link.py").symlink_to("/etc/passwd"),
    "file-made-a-symlink": lambda tree: (
        writable(tree / PACKAGE / "main.py").rename(tree / PACKAGE / "old.py"),
        (tree / PACKAGE / "main.py").symlink_to("old.py"),
    ),
    "folder-made-a-symlink": lambda tree: (
        writable(tree / PACKAGE).rename(tree.parent / "elsewhere"),
        (tree / PACKAGE).symlink_to(tree.parent / "elsewhere"),
    ),
    "tree-made-a-symlink": lambda tree: (tree.rename(tree.parent / "t"), tree.symlink_to(tree.parent / "t")),
    "fifo-added": lambda tree: os.mkfifo(writable(tree / "pipe")),
    "list-removed": lambda tree: ((tree.parent / LIST).unlink(), (tree.parent / "stat").unlink()),
    "manifest-changed": lambda tree: flip(tree.parent / "plugin.toml"),
}


@pytest.mark.parametrize("tampering", list(TAMPERINGS))
def test_a_tampered_tree_does_not_run(
    installed: Host, tampering: str, capfd: pytest.CaptureFixture[str]
) -> None:
    TAMPERINGS[tampering](release_of(installed) / "tree")
    capfd.readouterr()

    assert main(["demo"]) == 1
    out, err = capfd.readouterr()
    assert "ran" not in out
    assert "modified after install" in err or "neither a plain file" in err or "is no folder" in err
    assert [event["verdict"] for event in installed.events("plugin.refused")] == ["denied"]
    assert len(installed.events("sandbox.opened")) == 1
    assert main(["plugin", "verify", "demo"]) == 1
    assert main(["plugin", "doctor"]) == 1


def test_a_list_forged_to_fit_the_tree_is_not_believed(installed: Host) -> None:
    release = release_of(installed)
    flip(release / "tree" / PACKAGE / "main.py")
    listed = json.loads((release / LIST).read_bytes())
    content = (release / "tree" / PACKAGE / "main.py").read_bytes()
    listed["files"][f"{PACKAGE}/main.py"] = [hashlib.sha256(content).hexdigest(), len(content)]
    (release / LIST).write_text(json.dumps(listed))

    with pytest.raises(ModifiedError, match="not the one written at install"):
        verify_tree(release, Registry.load(installed.paths).find("demo").tree_sha256)


def test_verify_compares_with_the_signed_wheel(installed: Host, capsys: pytest.CaptureFixture[str]) -> None:
    flip(next((release_of(installed) / "wheels").glob("*.whl")))
    capsys.readouterr()
    assert main(["plugin", "verify"]) == 1
    assert "not those that were signed" in capsys.readouterr().out


FORGERIES: dict[str, dict[str, object]] = {
    "path-in-name": {"project": "../../evil"},
    "path-in-version": {"version": "1/../../../evil"},
    "path-in-id": {"id": "../../x"},
    "path-in-index": {"index_name": "../x"},
    "version-with-dots": {"version": "1.."},
    "linked-without-folder": {"origin": "linked"},
    "folder-on-a-verified-install": {"folder": "/tmp/evil"},
    "pointer": {"origin": "pointer"},
    "command-in-entry": {"entry": "os:system('x')"},
    "no-digest": {"tree_sha256": ""},
    "short-digest": {"manifest_sha256": "00"},
    "wrong-type": {"version": 1},
    "unknown-key": {"trusted": True},
}


@pytest.mark.parametrize("forgery", list(FORGERIES))
def test_a_forged_registry_is_refused(
    installed: Host, forgery: str, capfd: pytest.CaptureFixture[str]
) -> None:
    table = json.loads(installed.paths.registry_file.read_text())
    table["plugins"][NAME].update(FORGERIES[forgery])
    installed.paths.registry_file.write_text(json.dumps(table))
    capfd.readouterr()

    assert main(["demo"]) == 1
    assert "registry" in capfd.readouterr().err


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"version": 2, "plugins": {}}', '{"version": 1, "plugins": {"x": 1}}']
)
def test_a_broken_registry_is_one_clear_error(
    host: Host, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    host.paths.registry_file.write_text(content)
    assert main(["plugin", "list"]) == 1
    assert "Remove the file and install the plugins again" in capsys.readouterr().err


def test_a_registry_pointing_at_a_folder_holds_no_grants_of_another(installed: Host, tmp_path: Path) -> None:
    """Turning a verified install into a link to other code does not carry its grants along."""
    other = tmp_path / "evil" / PACKAGE
    other.mkdir(parents=True)
    (other / "plugin.toml").write_text(
        manifest(("variable:read", "dev:API_*"), ("api:call", "environments.names"))
    )
    (other / "main.py").write_text(CODE)
    table = json.loads(installed.paths.registry_file.read_text())
    table["plugins"][NAME] |= {"origin": "linked", "folder": str(tmp_path / "evil")}
    installed.paths.registry_file.write_text(json.dumps(table))

    assert main(["demo"]) == 1
    assert "nobody granted" in str(installed.events("plugin.refused")[-1]["reason"])


def test_a_withdrawn_release_does_not_run_and_says_why(
    installed: Host, capfd: pytest.CaptureFixture[str]
) -> None:
    installed.index.take_down(NAME, ["*"], reason="steals variables")
    assert main(["index", "refresh", "test"]) == 0
    capfd.readouterr()

    assert main(["demo"]) == 1
    assert "steals variables" in capfd.readouterr().err
    assert installed.install("--reinstall") == 1


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ([], "nobody is there to answer"),
        (["--yes"], "is of medium risk, above low"),
        (["--yes", "--allow-risk", "low"], "is of medium risk, above low"),
        (["--allow-risk", "high"], "Pass both"),
    ],
)
def test_no_consent_no_install(
    host: Host, options: list[str], reason: str, capfd: pytest.CaptureFixture[str]
) -> None:
    host.release(CODE, TEXT)
    before = host.store_state()

    assert main(["plugin", "install", NAME, *options]) == 2
    assert reason in capfd.readouterr().err
    assert host.store_state() == before


def test_an_update_never_widens_under_yes(installed: Host, capfd: pytest.CaptureFixture[str]) -> None:
    wider = manifest(("variable:read", "dev:API_*"), ("api:call", "environments.names"))
    installed.release(CODE, wider, version="2.0")
    before = installed.store_state()

    assert installed.install() == 2
    err = capfd.readouterr().err
    assert "+ [low] api:call environments.names" in err
    assert "--yes never grants" in err
    assert installed.store_state() == before
    assert main(["demo"]) == 0


def test_an_update_that_asks_for_less_is_no_widening(installed: Host) -> None:
    installed.release(CODE, manifest(), version="2.0")
    assert installed.install(risk="low") == 0


@pytest.mark.parametrize("permission", ["process:spawn", "system:*"])
def test_what_cannot_be_confined_is_not_installed(
    host: Host, permission: str, capfd: pytest.CaptureFixture[str]
) -> None:
    host.release(CODE, manifest((permission, "git")))
    assert host.install() == 1
    assert "never grants" in capfd.readouterr().err


def staged(tmp_path: Path, wheel: Wheel, text: str = TEXT, sha256: str = "") -> None:
    path = tmp_path / wheel.filename
    path.write_bytes(wheel.content)
    stage(PinnedWheel(path, sha256 or wheel.sha256), (), text, tmp_path / "store" / NAME / "1.0.0")


@pytest.mark.parametrize(
    ("extra", "reason"),
    [
        ({"evil.pth": b"import os"}, "would run by itself"),
        ({"sitecustomize.py": b""}, "would run by itself"),
        ({f"{PACKAGE}/__pycache__/main.cpython-311.pyc": b"x"}, "compiled code"),
        ({"../evil.py": b""}, "leaves its folder"),
        ({"/evil.py": b""}, "leaves its folder"),
        ({"a\\..\\evil.py": b""}, "leaves its folder"),
        ({f"{PACKAGE}/MAIN.py": b""}, "occurs twice"),
    ],
    ids=lambda value: next(iter(value))[:20] if isinstance(value, dict) else None,
)
def test_an_unsafe_wheel_is_refused_and_leaves_nothing(
    tmp_path: Path, extra: dict[str, bytes], reason: str
) -> None:
    wheel = plugin_wheel(CODE, TEXT, extra=extra)
    with pytest.raises(InstallError, match=reason):
        staged(tmp_path, wheel)
    assert not (tmp_path / "store").exists()


def test_a_zip_bomb_is_refused(tmp_path: Path) -> None:
    content = io.BytesIO(plugin_wheel(CODE, TEXT).content)
    with zipfile.ZipFile(content, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.bin", bytes(64 << 20))
    wheel = Wheel(NAME, "1.0.0", "bomb-1.0.0-py3-none-any.whl", content.getvalue(), b"")
    with pytest.raises(InstallError, match="zip bomb"):
        staged(tmp_path, wheel)


def test_another_digest_or_manifest_is_refused(tmp_path: Path) -> None:
    wheel = plugin_wheel(CODE, TEXT)
    with pytest.raises(InstallError, match="expected 0000"):
        staged(tmp_path, wheel, sha256="0" * 64)
    with pytest.raises(InstallError, match="not the one that was signed"):
        staged(tmp_path, wheel, text=TEXT + "\n")


@pytest.mark.parametrize(
    ("wheel", "reason"),
    [
        (make_wheel(NAME, "1.0.0"), "lacks .*entry_points.txt"),
        (plugin_wheel(CODE, TEXT, plugin_id="other"), "does not bear the manifest's id"),
        (plugin_wheel(CODE, "schema = 1"), "key 'id' is missing"),
        (Wheel(NAME, "1.0.0", "x-1.0.0-py3-none-any.whl", b"PK\x03\x04broken", b""), "no readable wheel"),
        (Wheel(NAME, "1.0.0", "x-1.0.0-py3-none-any.whl", b"", b""), "no readable wheel"),
    ],
    ids=["no-plugin", "other-id", "bad-manifest", "broken", "empty"],
)
def test_what_is_no_plugin_is_refused(tmp_path: Path, wheel: Wheel, reason: str) -> None:
    with pytest.raises(InstallError, match=reason):
        staged(tmp_path, wheel)


def test_a_full_disk_changes_nothing(installed: Host) -> None:
    installed.release(CODE + "#" * 200_000, TEXT, version="2.0")
    before = installed.store_state()

    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    command = [
        sys.executable,
        "-m",
        "envcli_host.cli.main",
        "plugin",
        "install",
        NAME,
        "--yes",
        "--allow-risk",
        "high",
    ]
    done = subprocess.run(command, preexec_fn=small_files, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert "error:" in done.stderr
    assert "Traceback" not in done.stderr
    assert installed.store_state() == before
    assert main(["demo"]) == 0


def test_a_killed_install_leaves_all_or_nothing(host: Host) -> None:
    host.release(CODE, TEXT)
    command = [
        sys.executable,
        "-m",
        "envcli_host.cli.main",
        "plugin",
        "install",
        NAME,
        "--yes",
        "--allow-risk",
        "high",
    ]
    for delay in (0.4, 0.8, 1.0):
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as started:
            time.sleep(delay)
            started.kill()
        is_listed = host.paths.registry_file.exists() and NAME in host.registry()
        assert (main(["demo"]) == 0) is is_listed
    assert host.install() == 0
    assert main(["demo"]) == 0
    assert main(["plugin", "verify"]) == 0
