"""Projects on disk: modes, atomic writes, inheritance, configuration, snapshots."""

import errno
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from envcli_host.environments.project import Project, ProjectConfig
from envcli_host.environments.snapshots import KEPT, take_snapshot
from envcli_host.errors import ConfigError, EnvcliError, EnvironmentStoreError
from envcli_host.files import locked, read_bounded, write_atomically


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project.create(tmp_path, ("dev", "prod"))


def test_files_with_values_are_private(project: Project) -> None:
    project.update("dev", {"A": "1"})

    assert stat.S_IMODE(project.file_of("dev").stat().st_mode) == 0o600
    assert stat.S_IMODE(project.file_of("dev").parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(take_snapshot(project, "dev").stat().st_mode) == 0o600


def test_values_are_ignored_by_git_and_the_configuration_is_not(project: Project) -> None:
    subprocess.run(["git", "init", "-q"], cwd=project.root, check=True)
    listed = subprocess.run(
        ["git", "ls-files", "--others", "--exclude-standard"],
        cwd=project.root,
        capture_output=True,
        check=True,
    )

    assert set(listed.stdout.decode().split()) == {".envcli/.gitignore", ".envcli/config.toml"}


def test_a_project_is_found_from_below(project: Project) -> None:
    below = project.root / "src" / "deep"
    below.mkdir(parents=True)

    assert Project.find(below).root == project.root


def test_no_project_names_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentStoreError, match="Run: envcli init"):
        Project.find(tmp_path)


def test_creating_twice_needs_force_and_keeps_values(project: Project) -> None:
    project.update("dev", {"A": "1"})
    with pytest.raises(EnvironmentStoreError, match="already a project"):
        Project.create(project.root, ("dev",))

    again = Project.create(project.root, ("dev", "extra"), force=True)

    assert again.values("dev", {}) == {"A": "1"}
    assert again.environments() == ("dev", "extra", "prod")


def test_a_project_of_another_user_is_refused(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() == 0:
        os.chown(project.folder, 12345, 12345)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 12345)

    with pytest.raises(EnvironmentStoreError, match="belongs to another user"):
        Project.find(project.root)


def test_inheritance_expands_and_overrides(project: Project) -> None:
    project.create_environment("base")
    project.update("base", {"HOST": "a", "PORT": "1"})
    project.create_environment("child", inherits="base")
    project = Project.open(project.root)
    project.write("child", project.read("child").with_value("PORT", "2"))
    project.file_of("child").write_text('PORT=2\nURL="http://$HOST:$PORT"\n')

    assert project.values("child", {}) == {"HOST": "a", "PORT": "2", "URL": "http://a:2"}


def test_circular_inheritance_is_refused(project: Project) -> None:
    (project.folder / "config.toml").write_text(
        '[environments.dev]\ninherits = "prod"\n[environments.prod]\ninherits = "dev"\n'
    )

    with pytest.raises(ConfigError, match="inherits from itself"):
        Project.open(project.root).values("dev")


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "a b", "x" * 65, "a:b", "a.env"])
def test_unsafe_names_are_refused(project: Project, name: str) -> None:
    with pytest.raises(EnvironmentStoreError, match="no name for an environment"):
        project.file_of(name)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name = ", "is not TOML"),
        ("name = 1", "name must be a string"),
        ("validation = 1", "validation must be a table"),
        ("[validation]\nrequired = 'A'", "must be a list"),
        ("[validation.formats]\nA = '('", "no regular expression"),
        ("[plugins]\nx = 1", "x must be a table"),
    ],
)
def test_malformed_configuration_names_the_place(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ProjectConfig.parse(text, "x")


def test_plugin_configuration_by_plugin_and_instance(project: Project) -> None:
    (project.folder / "config.toml").write_text(
        '[plugins.aws]\nregion = "a"\n[plugins."aws@eu"]\nregion = "b"\n'
    )
    project = Project.open(project.root)

    assert project.plugin_config("aws") == {"region": "a"}
    assert project.plugin_config("aws@eu") == {"region": "b"}
    assert project.plugin_config("other") == {}


def test_a_malformed_file_names_file_line_and_column(project: Project) -> None:
    project.file_of("dev").write_text("A=1\nB='x\n")

    with pytest.raises(EnvironmentStoreError, match=r"\.envcli/environments/dev\.env: line 2, column 3"):
        project.values("dev")


def test_a_full_disk_leaves_the_old_file(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.update("dev", {"A": "old"})

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(EnvcliError, match="no space is left on the disk"):
        project.update("dev", {"A": "new"})
    monkeypatch.undo()

    assert project.values("dev", {}) == {"A": "old"}
    assert [path.name for path in project.file_of("dev").parent.iterdir() if "tmp" in path.name] == []


def test_a_symbolic_link_is_written_through(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")

    write_atomically(tmp_path / "link", b"new")

    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"


def test_parallel_writers_lose_nothing(project: Project) -> None:
    script = (
        "import sys; from pathlib import Path; from envcli_host.environments.project import Project\n"
        "for n in range(15): Project.open(Path(sys.argv[1])).update('dev', {f'V{sys.argv[2]}_{n}': 'x'})"
    )
    writers = [
        subprocess.Popen([sys.executable, "-c", script, str(project.root), str(who)]) for who in range(3)
    ]
    assert [writer.wait() for writer in writers] == [0, 0, 0]

    assert len(project.values("dev", {})) == 45


def test_a_lock_is_exclusive(tmp_path: Path) -> None:
    order: list[str] = []

    def second() -> None:
        with locked(tmp_path / "lock"):
            order.append("second")

    with locked(tmp_path / "lock"):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(0.1)
        order.append("first")
    thread.join()

    assert order == ["first", "second"]


def test_reads_are_bounded(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")

    assert read_bounded(tmp_path / "file", 5) == b"12345"
    with pytest.raises(EnvcliError, match="larger than 4 bytes"):
        read_bounded(tmp_path / "file", 4)


def test_only_the_newest_snapshots_are_kept(project: Project) -> None:
    for _ in range(KEPT + 3):
        newest = take_snapshot(project, "dev")

    kept = sorted((project.folder / "snapshots").glob("dev@*.env"))
    assert len(kept) == KEPT
    assert kept[-1] == newest
