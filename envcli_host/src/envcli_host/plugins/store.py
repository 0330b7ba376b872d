"""Puts verified wheels into the plugin store: unpacked by uv, compiled, listed, read-only, moved in one step."""

import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from envcli_host.config import HostPaths
from envcli_host.failures import explain, number_in
from envcli_host.files import PRIVATE_DIRECTORY, PRIVATE_FILE, make_private_folder, write_atomically
from envcli_host.plugins import integrity
from envcli_host.plugins.errors import InstallError
from envcli_host.plugins.wheels import PluginWheel, read_plugin_wheel, verify_wheel

MANIFEST = "plugin.toml"
WHEELS = "wheels"
_TIMEOUT_SECONDS = 300
_LEFTOVER_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class PinnedWheel:
    """A downloaded wheel and the digest it must have."""

    path: Path
    sha256: str


@dataclass(frozen=True, slots=True)
class StagedRelease:
    """A release unpacked beside the store, ready to be moved into it.

    Attributes:
        folder: temporary place.
        wheel: what the plugin's wheel says.
        tree_sha256: digest of its tree list.
    """

    folder: Path
    wheel: PluginWheel
    tree_sha256: str


def stage(
    plugin: PinnedWheel, closure: Sequence[PinnedWheel], manifest_text: str, final: Path
) -> StagedRelease:
    """Unpack a plugin and its closure beside ``final``.

    Args:
        plugin: the plugin's own wheel.
        closure: what it depends on.
        manifest_text: the signed manifest; the wheel's must equal it byte for byte.
        final: where `commit` will move it.

    Raises:
        InstallError: something does not match or is unsafe; nothing is left behind.
    """
    for wheel in (plugin, *closure):
        verify_wheel(wheel.path, wheel.sha256)
    found = read_plugin_wheel(plugin.path)
    if found.manifest.text.encode() != manifest_text.encode():
        raise InstallError(
            f"{plugin.path.name}: its {MANIFEST} is not the one that was signed",
            remedy="Report it to the index",
        )
    root = final.parent.parent
    make_private_folder(root)
    folder = Path(tempfile.mkdtemp(prefix=".staging-", dir=root))
    try:
        _keep_wheels(folder / WHEELS, (plugin, *closure))
        _unpack(folder, (plugin, *closure))
        _refuse_foreign(folder / integrity.TREE)
        _compile(folder / integrity.TREE, final / integrity.TREE)
        write_atomically(folder / MANIFEST, manifest_text.encode(), PRIVATE_FILE)
        _make_readonly(folder / integrity.TREE)
        return StagedRelease(folder, found, integrity.seal(folder))
    except BaseException:
        discard(folder)
        raise


def commit(staged: StagedRelease, final: Path) -> None:
    """Move a staged release to its place, which must be free.

    Raises:
        InstallError: the place is taken or the move failed.
    """
    try:
        make_private_folder(final.parent)
        staged.folder.rename(final)
        integrity.sign(final)
    except OSError as error:
        cause, remedy = explain(error, final.parent)
        raise InstallError(f"{final} cannot be written: {cause}", remedy=remedy) from error


def discard(folder: Path) -> None:
    """Remove a release, read-only as it is; harmless when it is gone."""
    if not folder.exists():
        return
    for path, _, _ in os.walk(folder):
        Path(path).chmod(PRIVATE_DIRECTORY)
    shutil.rmtree(folder)


def sweep(paths: HostPaths) -> None:
    """Remove what interrupted installs left long enough ago; call it inside the registry's lock."""
    oldest = time.time() - _LEFTOVER_SECONDS
    for leftover in paths.plugins_dir.glob(".staging-*"):
        if leftover.stat().st_mtime < oldest:
            discard(leftover)


def _keep_wheels(folder: Path, wheels: Sequence[PinnedWheel]) -> None:
    """Keep the signed archives, so that ``verify`` can compare the tree with them at any time."""
    folder.mkdir(mode=PRIVATE_DIRECTORY)
    for wheel in wheels:
        shutil.copyfile(wheel.path, folder / wheel.path.name)
        verify_wheel(folder / wheel.path.name, wheel.sha256)


def find_uv() -> str:
    """Return the path of uv, without which nothing can be installed.

    Raises:
        InstallError: it is missing.
    """
    try:
        import uv

        return uv.find_uv_bin()
    except (ImportError, FileNotFoundError) as error:
        raise InstallError(f"uv is missing: {error}", remedy="Install envcli-host again") from error


def _unpack(folder: Path, wheels: Sequence[PinnedWheel]) -> None:
    requirements = folder / "requirements.txt"
    lines = [
        f"{(folder / WHEELS / wheel.path.name).as_uri()} --hash=sha256:{wheel.sha256}\n" for wheel in wheels
    ]
    requirements.write_text("".join(lines))
    command = [
        find_uv(),
        "pip",
        "install",
        "--quiet",
        "--no-config",
        "--no-cache",
        "--offline",
        "--no-index",
    ]
    command += [
        "--no-deps",
        "--only-binary",
        ":all:",
        "--require-hashes",
        "--link-mode",
        "copy",
        "--no-compile-bytecode",
    ]
    command += [
        "--python",
        sys.executable,
        "--target",
        os.fspath(folder / integrity.TREE),
        "-r",
        os.fspath(requirements),
    ]
    _run(command, folder, "uv could not unpack the wheels")
    requirements.unlink()


def _compile(tree: Path, final: Path) -> None:
    """Compile ahead, because the child cannot; unchecked, because the tree's list covers the compiled files too."""
    command = [sys.executable, "-I", "-S", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash"]
    command += ["-s", os.fspath(tree), "-p", os.fspath(final), os.fspath(tree)]
    # Sources that this Python cannot compile (templates, other versions) stay as they are: status 1 is no failure.
    _run(command, tree.parent, "the plugin could not be compiled", accepted=(0, 1))


def _run(command: list[str], folder: Path, failure: str, accepted: tuple[int, ...] = (0,)) -> None:
    environment = {
        "PATH": os.defpath,
        "LANG": "C.UTF-8",
        "HOME": os.fspath(folder),
        "TMPDIR": os.fspath(folder),
    }
    try:
        done = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InstallError(f"{failure}: {error}") from error
    if done.returncode not in accepted:
        detail = " ".join(done.stderr.decode("utf-8", "replace").split())[:400]
        number = number_in(detail)
        if number is not None:
            cause, remedy = explain(OSError(number, os.strerror(number)), folder.parent)
            raise InstallError(f"{failure}: {cause}", remedy=remedy)
        raise InstallError(
            f"{failure}: {detail or f'status {done.returncode}'}", remedy="Report it to its publisher"
        )


def _refuse_foreign(tree: Path) -> None:
    """What must never lie in a tree, whatever the archives said."""
    for path in tree.rglob("*"):
        status = path.lstat()
        if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
            raise InstallError(f"{path.relative_to(tree)} is neither a plain file nor a folder")
        if path.suffix == ".pth" or (
            path.parent == tree and path.name in {"sitecustomize.py", "usercustomize.py"}
        ):
            raise InstallError(f"{path.relative_to(tree)} would run by itself when an interpreter starts")


def _make_readonly(tree: Path) -> None:
    for folder, _, files in os.walk(tree):
        for name in files:
            Path(folder, name).chmod(0o444)
        Path(folder).chmod(0o555)
