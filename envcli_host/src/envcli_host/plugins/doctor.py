"""What may be wrong with this host: its sandbox, its surroundings, its trust and its plugins."""

import base64
import hashlib
import shutil
import site
import stat
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from envcli_host.config import HostPaths
from envcli_host.errors import EnvcliError
from envcli_host.plugins import integrity, journal
from envcli_host.plugins.discovery import find_pointers
from envcli_host.plugins.errors import InstallError, RegistryError
from envcli_host.plugins.registry import Origin, Record, Registry
from envcli_host.plugins.store import find_uv

if TYPE_CHECKING:
    from importlib_metadata import Distribution

HOST_DISTRIBUTIONS = ("envcli-host", "envcli-sdk", "envcli-sandbox", "envcli-policy", "pluggy")
_KNOWN_PTH = ("distutils-precedence.pth", "_virtualenv.pth", "a1_coverage.pth")


class Level(StrEnum):
    """How bad a diagnosis is; ``problem`` makes the command fail."""

    OK = "ok"
    NOTE = "note"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One line of the report."""

    level: Level
    subject: str
    message: str
    remedy: str = ""


def examine(paths: HostPaths, values: Iterable[Path] = ()) -> Iterator[Diagnosis]:
    """Every diagnosis, cheap ones first.

    Args:
        paths: the host's directories.
        values: files that hold a project's values.
    """
    yield from examine_sandbox()
    yield from examine_tools()
    yield from examine_startup_files()
    yield from examine_host_files()
    yield from examine_privacy((*_private_files(paths), *values))
    for part in (examine_store, examine_pointers):
        try:
            yield from part(paths)
        except RegistryError as error:
            yield Diagnosis(Level.PROBLEM, "registry", error.message, error.remedy)
            return


def examine_sandbox() -> Iterator[Diagnosis]:
    """Which tiers this machine gives, and why a better one is missing."""
    from envcli_sandbox.capabilities import probe

    found = probe()
    tiers = ", ".join(str(tier) for tier in found.tiers)
    if tiers:
        yield Diagnosis(Level.OK, "sandbox", f"tiers: {tiers}")
    else:
        yield Diagnosis(Level.PROBLEM, "sandbox", "no tier is available, so no plugin runs")
    for gap in found.gaps:
        yield Diagnosis(
            Level.NOTE if tiers else Level.PROBLEM, "sandbox", f"{gap.mechanism}: {gap.reason}", gap.remedy
        )


def examine_tools() -> Iterator[Diagnosis]:
    """Programs that installing needs or that make the sandbox stronger."""
    try:
        yield Diagnosis(Level.OK, "uv", f"found {find_uv()}")
    except InstallError as error:
        yield Diagnosis(Level.PROBLEM, "uv", error.message, error.remedy)
    if shutil.which("bwrap") is None:
        yield Diagnosis(
            Level.NOTE, "bubblewrap", "missing, so there is no hard tier", "apt-get install bubblewrap"
        )


def examine_startup_files() -> Iterator[Diagnosis]:
    """``.pth`` files that run code in the host before envcli has a say."""
    for folder in _site_folders():
        for path in sorted(folder.glob("*.pth")):
            lines = path.read_text(errors="replace").splitlines()
            runs = [line for line in lines if line.startswith(("import ", "import\t"))]
            if runs and path.name not in _KNOWN_PTH and not path.name.startswith("__editable__"):
                yield Diagnosis(
                    Level.NOTE,
                    "startup",
                    f"{path} runs code whenever this Python starts",
                    "Find out who put it there; give envcli an environment of its own",
                )


def examine_host_files() -> Iterator[Diagnosis]:
    """Files of the host that differ from what their installer recorded."""
    import importlib_metadata

    for name in HOST_DISTRIBUTIONS:
        try:
            distribution = importlib_metadata.Distribution.from_name(name)
        except importlib_metadata.PackageNotFoundError:
            yield Diagnosis(Level.NOTE, "host", f"{name} has no metadata here", "Install envcli-host again")
            continue
        changed = [str(path) for path in _changed_files(distribution)]
        if changed:
            yield Diagnosis(
                Level.PROBLEM,
                "host",
                f"{name}: {len(changed)} file(s) differ from RECORD, for example {changed[0]}",
                "Install envcli-host again",
            )


def examine_privacy(files: Iterable[Path]) -> Iterator[Diagnosis]:
    """Files of the user's that others can read or change."""
    for path in files:
        try:
            mode = path.stat().st_mode
        except OSError:
            continue
        if mode & (stat.S_IWGRP | stat.S_IWOTH):
            yield Diagnosis(Level.PROBLEM, "files", f"others can change {path}", f"chmod 600 {path}")
        elif mode & (stat.S_IRGRP | stat.S_IROTH):
            yield Diagnosis(Level.NOTE, "files", f"others can read {path}", f"chmod 600 {path}")


def _private_files(paths: HostPaths) -> tuple[Path, ...]:
    return (paths.grants_file, paths.registry_file, paths.indexes_file, paths.token_file, paths.audit_file)


def examine_store(paths: HostPaths) -> Iterator[Diagnosis]:
    """Installed plugins: unchanged, for this interpreter, not withdrawn, with recent trust."""
    if journal.is_pending(paths):
        yield Diagnosis(Level.NOTE, "store", "an install was interrupted; the next one undoes it")
    for record in Registry.load(paths):
        if record.origin is Origin.LINKED:
            yield Diagnosis(Level.NOTE, record.id, f"linked from {record.folder}, unverified")
            continue
        try:
            note = _examine_release(record, paths)
        except EnvcliError as error:
            yield Diagnosis(Level.PROBLEM, record.id, error.message, error.remedy)
        else:
            yield note or Diagnosis(
                Level.OK, record.id, f"{record.version} is as installed, and not withdrawn"
            )


def examine_pointers(paths: HostPaths) -> Iterator[Diagnosis]:
    """Plugins that only pip installed."""
    for pointer in find_pointers(paths):
        yield Diagnosis(
            Level.NOTE,
            pointer.project,
            f"{pointer.version} was installed by pip; envcli never runs that copy",
            f"envcli plugin install {pointer.project}=={pointer.version}",
        )


def _examine_release(record: Record, paths: HostPaths) -> Diagnosis | None:
    from envcli_host.plugins.starting import check

    warnings = check(record, paths).warnings
    integrity.verify_tree(record.release_dir(paths), record.tree_sha256)
    return Diagnosis(Level.NOTE, record.id, warnings[0]) if warnings else None


def _changed_files(distribution: "Distribution") -> Iterator[Path]:
    for path in distribution.files or ():
        if path.hash is None or path.hash.mode != "sha256":
            continue
        located = Path(str(path.locate()))
        wanted = base64.urlsafe_b64decode(path.hash.value + "=" * (-len(path.hash.value) % 4))
        if not located.is_file() or hashlib.sha256(located.read_bytes()).digest() != wanted:
            yield located


def _site_folders() -> list[Path]:
    folders = [*site.getsitepackages(), site.getusersitepackages()] if sys.flags.no_site == 0 else []
    return [Path(folder) for folder in dict.fromkeys(folders) if Path(folder).is_dir()]
