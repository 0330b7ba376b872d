"""The few modules that every sandbox gets beside the plugin: the SDK and pluggy, copied to a folder of their own.

Mounting the host's own site folder would let plugins read, and import, the host.
"""

import compileall
import hashlib
import importlib.util
import os
import py_compile
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from envcli_host.config import HostPaths
from envcli_host.errors import EnvcliError
from envcli_host.failures import explained
from envcli_host.files import locked, make_private_folder, read_bounded, write_atomically
from envcli_host.plugins import integrity
from envcli_host.plugins.errors import ModifiedError
from envcli_host.plugins.store import find_uv

PACKAGES = ("envcli_sdk", "pluggy")
_SEAL = "seal"
_SEAL_BYTES = 64


def guest_folder(paths: HostPaths) -> Path:
    """Folder holding the SDK and pluggy as this host has them.

    It is made once for each state of their sources, verified before each use as an installed plugin is, and made
    anew where it was changed.

    Raises:
        EnvcliError: it cannot be made.
    """
    sources = [_package_folder(name) for name in PACKAGES]
    release = paths.data / "guest" / _key(sources)
    if not _is_intact(release):
        with explained(paths.data, "the plugins' copy of the SDK was not made"):
            _build(sources, release)
    return release / integrity.TREE


def _is_intact(release: Path) -> bool:
    try:
        seal = read_bounded(release / _SEAL, _SEAL_BYTES).decode()
        integrity.verify_unchanged(release, seal)
    except (FileNotFoundError, ModifiedError, UnicodeDecodeError):
        return False
    return True


def _package_folder(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise EnvcliError(f"the package {name} is missing", remedy="Install envcli-host again")
    return Path(spec.origin).parent


def _key(sources: list[Path]) -> str:
    """Changes whenever a source file, or the interpreter, does."""
    digest = hashlib.sha256(f"{sys.implementation.cache_tag} {sys.executable}".encode())
    for source in sources:
        with os.scandir(source) as entries:
            files = sorted(
                (entry.name, entry.stat().st_mtime_ns, entry.stat().st_size)
                for entry in entries
                if entry.is_file()
            )
        digest.update(repr((os.fspath(source), files)).encode())
    return digest.hexdigest()[:24]


def _build(sources: list[Path], release: Path) -> None:
    make_private_folder(release.parent)
    with tempfile.TemporaryDirectory(dir=release.parent) as scratch:
        made, tree = Path(scratch, "made"), Path(scratch, "made", integrity.TREE)
        for source in sources:
            shutil.copytree(source, tree / source.name, ignore=shutil.ignore_patterns("__pycache__"))
        compileall.compile_dir(
            tree,
            quiet=2,
            stripdir=os.fspath(tree),
            prependdir=os.fspath(release / integrity.TREE),
            invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
        )
        write_atomically(made / _SEAL, integrity.seal(made).encode())
        with locked(release.parent / "lock"):
            if _is_intact(release):  # another process was faster and made the same
                return
            if release.exists():
                release.rename(Path(scratch, "changed"))
            made.rename(release)
            integrity.sign(release)


def make_room(paths: HostPaths) -> None:
    """Remove what is made again when it is needed: the cache, and the copies of the SDK."""
    for folder in (paths.cache, paths.data / "guest"):
        shutil.rmtree(folder, ignore_errors=True)


def guest_with_dependencies(project: str, paths: HostPaths) -> Path | None:
    """Folder that `install_dependencies` made for a linked plugin, or None."""
    folder = paths.data / "linked" / project
    return folder if folder.is_dir() else None


def forget_dependencies(project: str, paths: HostPaths) -> None:
    """Remove what `install_dependencies` made; harmless where there is nothing."""
    folder = guest_with_dependencies(project, paths)
    if folder is not None:
        shutil.rmtree(folder)


def install_dependencies(project: str, requirements: tuple[str, ...], paths: HostPaths) -> None:
    """Fetch a linked plugin's dependencies, wheels only so that nothing runs, beside a copy of the SDK.

    They come from the user's own default index and are as unverified as the folder itself.

    Raises:
        EnvcliError: uv could not install them; what was there before stays.
    """
    target = paths.data / "linked" / project
    make_private_folder(target.parent)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        made = Path(scratch, "guest")
        shutil.copytree(guest_folder(paths), made)
        command = [
            find_uv(),
            "pip",
            "install",
            "--quiet",
            "--only-binary",
            ":all:",
            "--link-mode",
            "copy",
        ]
        command += ["--python", sys.executable, "--target", os.fspath(made), "--", *requirements]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        if done.returncode:
            detail = " ".join(done.stderr.decode("utf-8", "replace").split())[:400]
            raise EnvcliError(f"the dependencies of {project} could not be fetched: {detail}")
        if target.exists():
            shutil.rmtree(target)
        made.rename(target)
