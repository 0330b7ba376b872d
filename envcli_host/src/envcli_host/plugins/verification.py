"""``envcli plugin verify``: from the signed digest of each wheel to every byte that is installed."""

import hashlib
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from envcli_host.config import HostPaths
from envcli_host.plugins import integrity
from envcli_host.plugins.errors import InstallError, ModifiedError
from envcli_host.plugins.registry import Origin, Record
from envcli_host.plugins.starting import check
from envcli_host.plugins.store import WHEELS


@dataclass(frozen=True, slots=True)
class VerifiedRelease:
    """What was compared."""

    files: int
    wheels: int
    warnings: tuple[str, ...]


def verify_release(record: Record, paths: HostPaths) -> VerifiedRelease:
    """Check an installed plugin as thoroughly as it can be done offline.

    The kept wheel must have the digest that the index' signed metadata names, every installed file must have the
    digest written at install, and every file of a wheel must lie in the tree with the bytes it has there.

    Raises:
        InstallError: it is a linked folder, which nothing can be compared with.
        ModifiedError: something differs.
        VerificationError: it was withdrawn, or nothing recent is known about it.
    """
    if record.origin is not Origin.INDEX:
        raise InstallError(
            f"plugin {record.id} is a linked folder: there is nothing signed to compare it with"
        )
    release = record.release_dir(paths)
    warnings = check(record, paths).warnings
    integrity.verify_tree(release, record.tree_sha256)
    wheels = sorted((release / WHEELS).glob("*.whl"))
    digests = [_digest(path) for path in wheels]
    if sorted(digests) != sorted({record.wheel_sha256, *record.closure}):
        raise ModifiedError(
            f"plugin {record.id}: the kept wheels are not those that were signed", remedy=_remedy(record)
        )
    count = sum(_compare(path, release / integrity.TREE, record) for path in wheels)
    return VerifiedRelease(count, len(wheels), warnings)


def _compare(wheel: Path, tree: Path, record: Record) -> int:
    count = 0
    with zipfile.ZipFile(wheel) as archive:
        for name in _installed_names(archive):
            count += 1
            installed = tree / name
            if not installed.is_file() or installed.read_bytes() != archive.read(name):
                raise ModifiedError(
                    f"plugin {record.id}: {name} is not the one in {wheel.name}", remedy=_remedy(record)
                )
    return count


def _installed_names(archive: zipfile.ZipFile) -> Iterator[str]:
    """Members that land in the tree as they are; installers rewrite RECORD and spread ``.data`` folders."""
    for name in archive.namelist():
        top = name.partition("/")[0]
        if not name.endswith(("/", ".dist-info/RECORD")) and not top.endswith(".data"):
            yield name


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _remedy(record: Record) -> str:
    return f"Run: envcli plugin install {record.project}=={record.version} --reinstall"
