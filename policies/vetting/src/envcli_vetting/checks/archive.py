"""Archive safety: one way to read it, no place to hide, nothing that runs on install."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import ClassVar

from packaging.utils import parse_wheel_filename

from envcli_vetting.errors import ArchiveError
from envcli_vetting.observation import Findings, Observation, error, review
from envcli_vetting.tree import ReleaseTree
from envcli_vetting.wheel import dist_info, read_wheel, record_problems
from envcli_vetting.zip_structure import ArchiveLimits, ZipStructure, check_name

_COMPILED = frozenset({".pyc", ".pyo"})
_NATIVE = frozenset({".so", ".pyd", ".dll", ".dylib", ".exe", ".a", ".o", ".lib", ".node"})
_MAGIC = (b"\x7fELF", b"MZ\x90", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe", b"\xfe\xed\xfa\xcf", b"!<arch>\n")
_HOOKS = frozenset({"sitecustomize.py", "usercustomize.py"})
_MANY = 50


@dataclass(frozen=True)
class ArchiveCheck:
    """See the module."""

    id: ClassVar[str] = "archive"
    version: ClassVar[str] = "1"
    required: ClassVar[bool] = True
    seconds: ClassVar[float] = 60

    def run(self, tree: ReleaseTree) -> Findings:
        """Inspect the wheel and, when there is one, the review source archive."""
        found = inspect_wheel(tree.wheel, ArchiveLimits())
        if tree.sdist is not None:
            found += inspect_sdist(tree.sdist, ArchiveLimits())
        return Findings(found)


CHECK = ArchiveCheck()


def inspect_wheel(path: Path, limits: ArchiveLimits) -> tuple[Observation, ...]:
    """Everything that is wrong with a wheel's archive; nothing when it may be unpacked.

    Args:
        path: The wheel, under its own file name.
        limits: What is acceptable.
    """
    try:
        archive = read_wheel(path, limits)
        info = dist_info(archive, path.name)
        found = [*_member_problems(archive, path.name), *_record_observations(archive, info)]
    except ArchiveError as broken:
        return (_refuse(broken),)
    return tuple(found[:_MANY])


def inspect_sdist(path: Path, limits: ArchiveLimits) -> tuple[Observation, ...]:
    """Everything that is wrong with a source archive; it is read as a stream and never unpacked."""
    top = path.name.removesuffix(".tar.gz")
    try:
        _walk_sdist(path, top, limits)
    except ArchiveError as broken:
        return (_refuse(broken),)
    except (tarfile.TarError, EOFError, OSError, ValueError) as broken:
        return (
            _refuse(ArchiveError("archive-damaged", f"{path.name} cannot be read: {type(broken).__name__}")),
        )
    return ()


def _walk_sdist(path: Path, top: str, limits: ArchiveLimits) -> None:
    if path.stat().st_size > limits.archive_bytes:
        raise ArchiveError("archive-too-large", f"{path.name} is larger than {limits.archive_bytes} bytes")
    seen: set[str] = set()
    total = 0
    with tarfile.open(path, "r|gz") as archive:
        for member in archive:
            check_name(member.name, limits)
            total += member.size
            if not (member.isreg() or member.isdir()) or member.name.split("/", 1)[0] != top:
                raise ArchiveError("archive-unsafe", f"{member.name} is a link, special, or outside {top}/")
            if member.name.casefold() in seen:
                raise ArchiveError("archive-duplicate", f"{member.name} stands twice", path=member.name)
            if total > limits.total_bytes or len(seen) >= limits.members:
                raise ArchiveError(
                    "archive-bomb", f"{path.name} unpacks to more than {limits.total_bytes} bytes"
                )
            seen.add(member.name.casefold())
    if not seen:
        raise ArchiveError("archive-damaged", f"{path.name} is empty")


def _refuse(broken: ArchiveError) -> Observation:
    return error(
        broken.rule,
        broken.message,
        path=broken.path,
        why="Installers and scanners could see different files, or unpacking could harm the machine",
        fix=broken.remedy,
    )


def _record_observations(archive: ZipStructure, info: str) -> Iterator[Observation]:
    for name, problem in record_problems(archive, info):
        yield error(
            "record-mismatch",
            f"{name}: {problem}",
            path=name,
            why="RECORD must name every file with its hash, or changed files go unnoticed",
            fix="Build the wheel again and do not edit it afterwards",
        )


def _member_problems(archive: ZipStructure, filename: str) -> Iterator[Observation]:
    is_pure = all(tag.platform == "any" for tag in parse_wheel_filename(filename)[3])
    for member in archive.files:
        path = PurePosixPath(member.name)
        top = path.parts[0].lower()
        suffix = path.suffix.lower()
        if suffix == ".pth" or path.name.lower() in _HOOKS:
            yield _runs_on_start(member.name)
        if top.endswith(".data"):
            yield _outside(member.name)
        if suffix in _COMPILED or "__pycache__" in path.parts:
            yield _compiled(member.name)
        start = archive.read(member)[:8]
        if suffix in _NATIVE or ".so." in path.name or start.startswith(_MAGIC):
            yield _native(member.name, is_pure=is_pure)


def _runs_on_start(name: str) -> Observation:
    return error(
        "runs-on-start",
        f"{name} would run whenever Python starts",
        path=name,
        why="It would run outside the sandbox, in every program of this interpreter",
        fix="Remove it: a plugin's code runs only through its entry point",
    )


def _outside(name: str) -> Observation:
    return error(
        "installs-outside",
        f"{name} would be installed outside the package",
        path=name,
        why="Scripts and data files land beside programs of the system and may replace them",
        fix="Keep data inside the package; offer commands through plugin.toml",
    )


def _compiled(name: str) -> Observation:
    return error(
        "compiled-python",
        f"{name} is byte-code",
        path=name,
        why="Byte-code may do something else than the source beside it, and cannot be reviewed",
        fix="Leave byte-code out of the wheel",
    )


def _native(name: str, *, is_pure: bool) -> Observation:
    if is_pure:
        return error(
            "native-code-hidden",
            f"{name} is native code in a wheel that calls itself pure",
            path=name,
            why="Native code cannot be compared with the declared permissions",
            fix="Remove it, or tag the wheel for its platform so that a person reviews it",
        )
    return review(
        "native-code",
        f"{name} is native code",
        path=name,
        why="Native code cannot be compared with the declared permissions; the sandbox alone confines it",
        fix="Ship the source in the source archive and describe how it was built",
    )
