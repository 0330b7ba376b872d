"""The workshop before anything leaves the machine: projects, builds, tokens, provenance, reports."""

import base64
import hashlib
import json
import os
import re
import subprocess
from pathlib import Path

import httpx
import pytest
from envcli_host.cli.main import main
from envcli_host.config import HostPaths
from envcli_host.workshop.building import BuildRecord, build_project, load_record, release_files
from envcli_host.workshop.credentials import ApiToken, exchange_token, read_token
from envcli_host.workshop.errors import BuildError, ProjectError, SigningError, UploadError
from envcli_host.workshop.project import PluginProject
from envcli_host.workshop.provenance import provenance_predicate
from envcli_host.workshop.reporting import render_status
from envcli_host.workshop.scaffold import PluginAnswers, create_project
from envcli_host.workshop.source import SourceRevision, find_revision, public_address
from envcli_host.workshop.uploading import load_upload, upload_file
from hypothesis import given
from hypothesis import strategies as st


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return create_project(PluginAnswers("built", "command", "Counts variables", "Ada"), tmp_path)


@pytest.fixture
def project(folder: Path) -> PluginProject:
    return PluginProject.load(folder)


def build(project: PluginProject) -> BuildRecord:
    return build_project(project, isolated=False, progress=lambda _line: None)


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(
        ["git", "-C", str(folder), *identity, *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def api_token(issuer: str) -> str:
    claims = base64.urlsafe_b64encode(json.dumps({"iss": issuer}).encode()).decode().rstrip("=")
    return f"envcli-e30.{claims}.c2ln"


def test_the_same_source_gives_the_same_bytes(project: PluginProject, tmp_path: Path) -> None:
    first = build(project)
    for path in project.directory.rglob("*"):
        os.utime(path, (1, 1))
    moved = project.directory.rename(tmp_path / "elsewhere")
    second = build(PluginProject.load(moved))
    assert first.files == second.files
    assert len(first.files) == 2


def test_the_epoch_is_the_commit_unless_it_is_given(
    project: PluginProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    git(project.directory, "init", "-q")
    git(project.directory, "add", "-A")
    git(project.directory, "commit", "-q", "-m", "all", "--date", "2020-02-02T00:00:00Z")
    committed = int(git(project.directory, "log", "-1", "--format=%ct"))
    assert build(project).epoch == committed
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1600000000")
    assert build(project).epoch == 1600000000
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    assert build(project).epoch == 315_532_800


def test_a_build_backend_never_sees_the_token(
    project: PluginProject, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ENVCLI_TOKEN", "envcli-secret")
    hook = project.directory / "hatch_build.py"
    hook.write_text(
        "import os\nfrom hatchling.builders.hooks.plugin.interface import BuildHookInterface\n"
        "class Hook(BuildHookInterface):\n"
        "    def initialize(self, version, build_data):\n"
        "        assert 'ENVCLI_TOKEN' not in os.environ\n"
        f"        open({str(tmp_path / 'ran')!r}, 'w').close()\n"
    )
    configuration = project.directory / "pyproject.toml"
    configuration.write_text(configuration.read_text() + "\n[tool.hatch.build.hooks.custom]\n")
    text = configuration.read_text().replace('"tox.ini"]', '"tox.ini", "hatch_build.py"]')
    configuration.write_text(text)
    build(project)
    assert (tmp_path / "ran").exists()


def test_a_failing_backend_is_one_line(project: PluginProject) -> None:
    (project.directory / "README.md").unlink()
    with pytest.raises(BuildError, match=r"building envcli-plugin-built failed: .*README\.md"):
        build(project)


def test_files_of_other_versions_stay(project: PluginProject) -> None:
    project.dist.mkdir()
    older = project.dist / "envcli_plugin_built-0.0.9-py3-none-any.whl"
    stale = project.dist / "envcli_plugin_built-0.1.0-py3-none-any.whl.publish.attestation"
    older.write_bytes(b"older")
    stale.write_bytes(b"{}")
    build(project)
    assert older.read_bytes() == b"older"
    assert not stale.exists()
    assert {path.name for path in release_files(project)} == {
        "envcli_plugin_built-0.1.0-py3-none-any.whl",
        "envcli_plugin_built-0.1.0.tar.gz",
    }


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"files": 1}', "\x00"])
def test_a_damaged_record_is_refused(project: PluginProject, content: str) -> None:
    build(project)
    (project.dist / "build-record.json").write_text(content)
    with pytest.raises(BuildError, match="cannot read"):
        load_record(project)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('name = "envcli-plugin-built"', 'name = "something-else"', "starts with envcli-plugin-"),
        ('version = "0.1.0"', 'dynamic = ["version"]', "cannot be used"),
        ('[project.entry-points."envcli.plugins"]', '[project.entry-points."other"]', "has 0 entry points"),
        ("[project]", "[broken", "cannot read"),
        ('dependencies = ["envcli-sdk>=0.1,<0.2"]', "dependencies = 3", "no list of texts"),
    ],
)
def test_what_is_no_plugin_project_says_why(folder: Path, old: str, new: str, complaint: str) -> None:
    file = folder / "pyproject.toml"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new, 1))
    with pytest.raises(ProjectError, match=complaint):
        PluginProject.load(folder)


def test_a_folder_without_project_says_how_to_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plugin", "build", "--project", str(tmp_path)]) == 1
    assert "envcli plugin new" in capsys.readouterr().err


def test_provenance_states_the_commit_and_no_credentials(project: PluginProject) -> None:
    git(project.directory, "init", "-q")
    git(project.directory, "remote", "add", "origin", "https://ada:t0ken@git.example.org/ada/built.git?x=y#z")
    git(project.directory, "add", "-A")
    git(project.directory, "commit", "-q", "-m", "all")
    predicate = provenance_predicate(build(project))
    source = predicate["buildDefinition"]["externalParameters"]["source"]
    commit = git(project.directory, "rev-parse", "HEAD")
    assert source == {
        "uri": f"git+https://git.example.org/ada/built.git@{commit}",
        "digest": {"gitCommit": commit},
    }
    assert "t0ken" not in json.dumps(predicate)
    assert predicate["buildDefinition"]["externalParameters"]["sourceIsClean"] is True


def test_outside_of_git_provenance_claims_no_source(project: PluginProject) -> None:
    predicate = provenance_predicate(build(project))
    if find_revision(project.directory) is None:
        assert predicate["buildDefinition"]["externalParameters"] == {"source": None, "sourceIsClean": None}


@given(user=st.text("abcXYZ019-_.~%", min_size=1), secret=st.text("abcXYZ019-_.~%", min_size=1))
def test_no_user_information_survives_in_an_address(user: str, secret: str) -> None:
    address = public_address(f"https://{user}:{secret}@host.example/path.git")
    assert address in {"https://host.example/path.git", ""}


@pytest.mark.parametrize(
    "remote", ["", "git@host:path.git", "/home/ada/repo", "file:///home/ada/repo", "../x"]
)
def test_addresses_that_only_mean_something_here_are_left_out(remote: str) -> None:
    assert public_address(remote) == ""


def test_a_dirty_tree_is_said(project: PluginProject) -> None:
    git(project.directory, "init", "-q")
    git(project.directory, "add", "-A")
    git(project.directory, "commit", "-q", "-m", "all")
    (project.directory / "README.md").write_text("changed")
    revision = find_revision(project.directory)
    assert isinstance(revision, SourceRevision)
    assert not revision.clean


def test_the_token_file_must_be_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ENVCLI_TOKEN", raising=False)
    paths = HostPaths.below(tmp_path)
    with pytest.raises(SigningError, match="no API token"):
        read_token(paths)
    paths.token_file.parent.mkdir(parents=True)
    paths.token_file.write_text(api_token("https://site.example"))
    paths.token_file.chmod(0o640)
    with pytest.raises(SigningError, match="can be read by others"):
        read_token(paths)
    paths.token_file.chmod(0o600)
    assert read_token(paths).issuer == "https://site.example"
    real = paths.token_file.rename(tmp_path / "moved")
    paths.token_file.symlink_to(real)
    with pytest.raises(SigningError, match="cannot read"):
        read_token(paths)


@pytest.mark.parametrize(
    "text", ["x", "envcli-", "envcli-a.b.c", "envcli-e30.e30.c2ln", "e30.eyJpc3MiOiJhIn0.c"]
)
def test_a_malformed_token_is_refused_and_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("ENVCLI_TOKEN", text)
    with pytest.raises(SigningError, match="malformed") as raised:
        read_token(HostPaths.below(tmp_path))
    assert text not in {str(raised.value), raised.value.message}


def test_a_token_does_not_show_itself() -> None:
    token = ApiToken("envcli-secret", "https://site.example")
    assert "secret" not in repr(token)


def test_a_site_that_is_down_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    token = ApiToken(api_token("http://127.0.0.1:9"), "http://127.0.0.1:9")
    with pytest.raises(SigningError, match=r"cannot reach http://127\.0\.0\.1:9") as raised:
        exchange_token(token, "http://127.0.0.1:9")
    assert token.text not in str(raised.value)


def test_unsigned_and_damaged_files_are_not_uploaded(project: PluginProject) -> None:
    build(project)
    wheel, archive = release_files(project)
    with pytest.raises(UploadError, match="is not signed"):
        load_upload(wheel)
    archive.write_bytes(b"no archive")
    with pytest.raises(UploadError, match="no readable PKG-INFO"):
        load_upload(archive)
    wheel.write_bytes(b"no wheel")
    with pytest.raises(UploadError, match="no readable METADATA"):
        load_upload(wheel)


@pytest.mark.parametrize(
    ("answer", "shown", "rule"),
    [
        (
            httpx.Response(403, text="name-owned: another publisher owns it. Choose another"),
            "name-owned",
            "name-owned",
        ),
        (httpx.Response(400, html="<h1>Bad</h1>"), "HTTP 400", ""),
        (httpx.Response(302, headers={"Location": "http://elsewhere"}), "HTTP 302", ""),
    ],
)
def test_refusals_name_their_rule(
    project: PluginProject, monkeypatch: pytest.MonkeyPatch, answer: httpx.Response, shown: str, rule: str
) -> None:
    build(project)
    wheel, _ = release_files(project)
    for suffix in (".publish.attestation", ".provenance.attestation"):
        wheel.with_name(wheel.name + suffix).write_text("{}")
    file = load_upload(wheel)
    monkeypatch.setattr(httpx, "post", lambda *_args, **_options: answer)
    with pytest.raises(UploadError, match=shown) as raised:
        upload_file(file, "http://127.0.0.1:9/upload/", ApiToken("envcli-secret", "http://127.0.0.1:9"))
    assert raised.value.rule == rule


def test_status_text_cannot_steer_the_terminal() -> None:
    status = {
        "project": "envcli-plugin-x",
        "version": "1.0",
        "state": "rejected\x1b[2J",
        "observations": [
            {"severity": "error", "rule": "r", "path": "a\nb", "line": 3, "why": "w", "fix": "f"}
        ],
    }
    text = render_status(status)
    assert "\x1b" not in text
    assert len(text.splitlines()) == 3


def test_lint_speaks_json(project: PluginProject, capsys: pytest.CaptureFixture[str]) -> None:
    build(project)
    capsys.readouterr()
    assert main(["plugin", "lint", "--project", str(project.directory), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    (wheel, _) = release_files(project)
    assert {"name": wheel.name, "sha256": hashlib.sha256(wheel.read_bytes()).hexdigest()} in report["files"]
    assert report["passed"] is True
    assert {item["rule"] for item in report["observations"]} >= {"first-release"}


@pytest.mark.parametrize("name", ["/etc/passwd", "pyproject.toml"])
def test_lint_refuses_what_is_no_distribution(
    project: PluginProject, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    file = project.directory / name
    assert main(["plugin", "lint", "--project", str(project.directory), str(file)]) == 2
    assert f"{file} is neither a wheel nor a .tar.gz source archive" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["x" * 600, "a\u202eb"])
def test_lint_knows_the_rules_of_the_gate(
    project: PluginProject, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    settings = project.directory / "pyproject.toml"
    content = re.sub(r"(?m)^description = .*$", lambda _: f'description = "{text}"', settings.read_text())
    settings.write_text(content)
    build(project)
    capsys.readouterr()
    assert main(["plugin", "lint", "--project", str(project.directory)]) == 1
    shown = capsys.readouterr().out
    assert "metadata-invalid" in shown
    assert "would refuse" in shown


def test_plugin_test_runs_pytest_there(project: PluginProject, tmp_path: Path) -> None:
    base = f"--basetemp={tmp_path / 'run'}"
    assert main(["plugin", "test", "--project", str(project.directory), "--", "-q", base]) == 0
    (project.directory / "tests/test_plugin.py").write_text("def test_no() -> None:\n    assert False\n")
    assert main(["plugin", "test", "--project", str(project.directory), "--", "-q", base]) == 1
