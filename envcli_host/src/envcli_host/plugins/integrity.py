"""Is an installed tree still what was installed?

Installing writes a list of every file with its SHA-256 (the *tree list*, whose own digest stands in the registry)
and a *stat signature*: device, inode, size and both times of every file and folder. A run compares the signature;
any difference means that everything is hashed again. A folder's times change with each entry that is added,
removed or renamed in it, so comparing the known paths is enough to see unknown ones.
"""

import hashlib
import json
import os
import stat
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from envcli_host.files import read_bounded, write_atomically
from envcli_host.plugins.errors import ModifiedError

TREE = "tree"
LIST = "files.json"
SIGNATURE = "stat"
_MAX_LIST = 64 * 1024 * 1024
_NUMBERS = 5


@dataclass(frozen=True, slots=True)
class TreeList:
    """Every entry of a tree.

    Attributes:
        files: relative path → (SHA-256 in hexadecimal, size in bytes).
        folders: relative paths; the tree itself is ``"."``.
    """

    files: dict[str, tuple[str, int]]
    folders: tuple[str, ...]

    def to_json(self) -> bytes:
        """Canonical bytes, whose digest identifies the tree."""
        table = {"version": 1, "files": self.files, "folders": list(self.folders)}
        return json.dumps(table, sort_keys=True, separators=(",", ":")).encode()


def list_tree(tree: Path) -> TreeList:
    """Hash every file of a tree.

    Raises:
        ModifiedError: it holds a symbolic link, a device or another thing that no wheel installs.
    """
    files: dict[str, tuple[str, int]] = {}
    folders: list[str] = []
    for relative, status in _walk(tree):
        if stat.S_ISDIR(status.st_mode):
            folders.append(relative)
        else:
            files[relative] = (_digest(tree / relative), status.st_size)
    return TreeList(files, tuple(sorted(folders)))


def seal(release: Path) -> str:
    """Write the tree list of ``release/tree``; return the list's SHA-256. `sign` once it lies at its final place."""
    listed = list_tree(release / TREE).to_json()
    write_atomically(release / LIST, listed)
    return hashlib.sha256(listed).hexdigest()


def sign(release: Path) -> None:
    """Write the stat signature of an installed release."""
    found = _parse(read_bounded(release / LIST, _MAX_LIST))
    paths = (*found.folders, *found.files)
    numbers = _numbers(release / TREE, paths)
    write_atomically(
        release / SIGNATURE, b"\0".join(os.fsencode(path) for path in paths) + b"\n" + numbers.tobytes()
    )


def verify_present(release: Path) -> None:
    """Check that a release's tree is there at all.

    Raises:
        ModifiedError: somebody removed it.
    """
    if not (release / TREE).is_dir():
        name, version = release.parent.name, release.name
        raise ModifiedError(
            f"the files of plugin {name} {version} are gone from {release}",
            remedy=f"Run: envcli plugin install {name}=={version} --reinstall",
        )


def verify_unchanged(release: Path, tree_sha256: str) -> bool:
    """Check that a release is as installed; cheap as long as nobody touched it.

    Returns:
        True when the signature was enough, False when everything was hashed again and found intact.

    Raises:
        ModifiedError: it was changed, names the first path that differs.
    """
    if _is_signature_intact(release):
        return True
    verify_tree(release, tree_sha256)
    return False


def verify_tree(release: Path, tree_sha256: str) -> None:
    """Hash every file of a release and compare; renew the signature afterwards.

    Raises:
        ModifiedError: it was changed.
    """
    try:
        listed = read_bounded(release / LIST, _MAX_LIST)
    except FileNotFoundError:
        raise _modified(release, f"{LIST} is gone") from None
    if hashlib.sha256(listed).hexdigest() != tree_sha256:
        raise _modified(release, f"{LIST} is not the one written at install")
    expected, actual = _parse(listed), list_tree(release / TREE)
    for path in sorted({*expected.files, *actual.files}):
        if expected.files.get(path) != actual.files.get(path):
            raise _modified(release, f"{path} {_difference(path, expected, actual)}")
    if expected.folders != actual.folders:
        changed = sorted({*expected.folders} ^ {*actual.folders})
        raise _modified(release, f"folder {changed[0]} was added or removed")
    sign(release)


def _is_signature_intact(release: Path) -> bool:
    """Whether every listed path still has the device, inode, size and times that it had at install."""
    try:
        content = (release / SIGNATURE).read_bytes()
        head, _, numbers = content.partition(b"\n")
        paths = os.fsdecode(head).split("\0")
        return bool(paths) and _numbers(release / TREE, tuple(paths)).tobytes() == numbers
    except (OSError, ValueError):
        return False


def _numbers(tree: Path, paths: tuple[str, ...]) -> "array[int]":
    numbers = array("q")
    root = os.fspath(tree)
    lstat, extend = os.lstat, numbers.extend
    for path in paths:
        found = lstat(f"{root}/{path}")
        extend((found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns))
    return numbers


def _walk(tree: Path) -> Iterator[tuple[str, os.stat_result]]:
    status = tree.lstat()
    if not stat.S_ISDIR(status.st_mode):
        raise ModifiedError(f"{tree} is no folder", remedy="Install the plugin again")
    yield ".", status
    pending = [""]
    while pending:
        prefix = pending.pop()
        with os.scandir(tree / prefix) as entries:
            for entry in sorted(entries, key=lambda item: item.name):
                relative, status = f"{prefix}{entry.name}", entry.stat(follow_symlinks=False)
                if stat.S_ISDIR(status.st_mode):
                    pending.append(f"{relative}/")
                elif not stat.S_ISREG(status.st_mode) or "\n" in relative or "\0" in relative:
                    raise ModifiedError(
                        f"{tree / relative} is neither a plain file nor a folder",
                        remedy="Install the plugin again",
                    )
                yield relative, status


def _digest(path: Path) -> str:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _parse(listed: bytes) -> TreeList:
    try:
        table = json.loads(listed)
        files = {str(path): (str(digest), int(size)) for path, (digest, size) in table["files"].items()}
        return TreeList(files, tuple(str(path) for path in table["folders"]))
    except (ValueError, KeyError, TypeError) as error:
        raise ModifiedError(f"{LIST} of a plugin is malformed", remedy="Install the plugin again") from error


def _difference(path: str, expected: TreeList, actual: TreeList) -> str:
    if path not in expected.files:
        return "was added"
    return "was changed" if path in actual.files else "was removed"


def _modified(release: Path, what: str) -> ModifiedError:
    return ModifiedError(
        f"plugin {release.parent.name} {release.name} was modified after install: {what}",
        remedy=f"Run: envcli plugin install {release.parent.name}=={release.name} --reinstall",
    )
