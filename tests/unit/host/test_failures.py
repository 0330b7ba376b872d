"""What the operating system refuses is told with its cause, its place and a remedy."""

import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from envcli_host.audit import AuditError, AuditLog
from envcli_host.cli.main import main
from envcli_host.config import HostPaths
from envcli_host.environments.project import Project
from envcli_host.failures import StorageError, explain, explained
from envcli_host.plugins import runtime
from envcli_host.plugins.errors import InstallError
from envcli_host.plugins.runtime import guest_folder

from envcli_host import files

Capture = pytest.CaptureFixture[str]
NOBODY = 65534


def full(*_: object, **__: object) -> None:
    """Stand for a write on a full disk."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(
    ("error", "cause", "remedy"),
    [
        (OSError(errno.ENOSPC, "x"), "no space is left on the disk that holds /a/b", "Free some"),
        (OSError(errno.EDQUOT, "x"), "no space is left on the disk that holds /a/b", "Free some"),
        (OSError(errno.EROFS, "x"), "the disk that holds /a/b is mounted read-only", "writable"),
        (PermissionError(errno.EACCES, "x"), "this user may not work on /a/b", "owner or permissions"),
        (
            shutil.Error([("from", "to", "[Errno 28] No space left on device")]),
            "no space is left on the disk that holds /a/b",
            "Free some",
        ),
        (OSError(errno.EIO, "x"), "/a/b: Input/output error", "Check"),
    ],
)
def test_each_refusal_has_a_cause_and_a_remedy(error: OSError, cause: str, remedy: str) -> None:
    found = explain(error, Path("/a/b"))

    assert found[0] == cause
    assert remedy in found[1]
    assert "Errno" not in "".join(found)


def test_an_error_without_a_number_is_told_by_the_one_behind_it() -> None:
    wrapped = OSError("Unable to create a folder")
    wrapped.__cause__ = OSError(errno.EROFS, "x")
    assert "mounted read-only" in explain(wrapped, Path("/a"))[0]


def test_every_folder_that_is_made_is_private(tmp_path: Path) -> None:
    files.write_atomically(tmp_path / "a" / "b" / "c", b"")
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in ("a", "a/b")] == [0o700, 0o700]


def test_without_a_place_nothing_is_invented() -> None:
    assert explain(OSError(errno.ENOSPC, "x"))[0] == "no space is left on a disk that envcli writes to"
    assert explain(OSError("odd"))[0] == "odd"


def test_scratch_files_are_not_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError) as caught, explained(tmp_path, "nothing was installed"):
        full_file(tmp_path / ".staging-1" / "plugin.toml")
    assert ".staging" not in str(caught.value)
    with pytest.raises(StorageError, match="elsewhere"), explained(tmp_path, "nothing was installed"):
        full_file(Path("/elsewhere/file"))


def full_file(path: Path) -> None:
    """Fail as `write_atomically` does."""
    raise StorageError(f"{path} cannot be written", OSError(errno.ENOSPC, "x"), path.parent)


def test_a_full_disk_under_a_project_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["init"]) == 0
    monkeypatch.setattr(files, "_write_new", full)

    assert main(["set", "A=1"]) == 1
    told = capsys.readouterr().err
    assert f"no space is left on the disk that holds {tmp_path}/.envcli/environments" in told
    assert "Free some and try again" in told
    assert ".tmp" not in told


@pytest.fixture
def closed() -> Iterator[Path]:
    """A folder that this user may enter and not write; root gives up its right to write everywhere meanwhile."""
    user = os.geteuid()
    with TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        folder = Path(name) / "closed"
        folder.mkdir(mode=0o555)
        if user == 0:
            os.seteuid(NOBODY)
        try:
            yield folder
        finally:
            os.seteuid(user)


def test_a_folder_that_may_not_be_written_is_named(closed: Path) -> None:
    with pytest.raises(StorageError, match=r"closed.*this user may not work on .*closed") as caught:
        files.write_atomically(closed / "deeper" / "file", b"")
    assert ".tmp" not in str(caught.value)
    with pytest.raises(AuditError, match="may not work on"):
        AuditLog(closed / "audit.jsonl").record({"event": "x"})


def test_a_failed_first_run_names_no_list_of_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def copy(*_: object, **__: object) -> None:
        raise shutil.Error([("a", "b", "[Errno 28] No space left on device")])

    monkeypatch.setattr(runtime.shutil, "copytree", copy)
    with pytest.raises(StorageError, match="no space is left on the disk that holds") as caught:
        guest_folder(HostPaths.below(tmp_path))
    assert "Errno" not in str(caught.value)


@pytest.mark.parametrize("name", ["envcli_sdk/guest.py", "pluggy/_hooks.py"])
def test_a_changed_copy_of_the_sdk_is_made_anew(tmp_path: Path, name: str) -> None:
    paths = HostPaths.below(tmp_path)
    file = guest_folder(paths) / name
    good = file.read_bytes()
    file.write_bytes(good + b"\nimport os\n")

    assert (guest_folder(paths) / name).read_bytes() == good
    (compiled,) = (file.parent / "__pycache__").glob(f"{file.stem}.*.pyc")
    compiled.write_bytes(b"x" * compiled.stat().st_size)
    guest_folder(paths)
    assert compiled.read_bytes()[:1] != b"x"
    (file.parent / "added.py").write_text("")
    assert not (guest_folder(paths) / name).with_name("added.py").exists()


def test_missing_uv_is_told_before_anything_is_fetched(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import uv
    from envcli_host.plugins.consent import Answers
    from envcli_host.plugins.lifecycle import install

    def missing() -> str:
        raise FileNotFoundError("no uv here")

    monkeypatch.setattr(uv, "find_uv_bin", missing)
    with pytest.raises(InstallError, match="uv is missing") as caught:
        install("demo", None, HostPaths.below(tmp_path), Answers())
    assert caught.value.remedy == "Install envcli-host again"
    assert not list(tmp_path.iterdir())


def test_an_environment_that_cannot_be_chosen_is_not_created(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = Project.create(tmp_path, ("dev",))
    before = (project.folder / "config.toml").read_bytes()
    written = files._write_new

    def no_room(path: Path, content: bytes, mode: int) -> None:
        if path.name.startswith(".current"):
            full()
        written(path, content, mode)

    monkeypatch.setattr(files, "_write_new", no_room)
    monkeypatch.chdir(tmp_path)
    assert main(["switch", "--create", "new", "--inherits", "dev"]) == 1
    assert project.environments() == ("dev",)
    assert (project.folder / "config.toml").read_bytes() == before


def test_a_plugin_project_is_written_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    main_module = pytest.importorskip("cookiecutter.main")

    def stops_early(*_: object, output_dir: str, **__: object) -> None:
        (Path(output_dir) / "envcli-plugin-half").mkdir()
        full()

    monkeypatch.setattr(main_module, "cookiecutter", stops_early)
    arguments = ["plugin", "new", "half", "--type", "command", "--author", "A", "--output", str(tmp_path)]
    assert main(arguments) == 1
    assert "no space is left on the disk that holds" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
