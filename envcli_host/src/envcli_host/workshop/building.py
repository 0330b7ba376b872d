"""Build a wheel and a review source archive that come out the same every time."""

import hashlib
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import Version

from envcli_host.workshop.errors import BuildError
from envcli_host.workshop.project import PluginProject
from envcli_host.workshop.source import SourceRevision, find_revision

RECORD_NAME = "build-record.json"
EPOCH_VARIABLE = "SOURCE_DATE_EPOCH"
EARLIEST_ZIP_TIME = 315_532_800  # 1980-01-01 UTC, the first moment that a ZIP entry can carry
BUILD_SECONDS = 900
SECRET_VARIABLES = frozenset({"ENVCLI_TOKEN", "TWINE_PASSWORD", "UV_PUBLISH_TOKEN", "UV_PUBLISH_PASSWORD"})


@dataclass(frozen=True)
class BuildRecord:
    """What happened in one build: the facts its SLSA provenance will state.

    Attributes:
        files: SHA-256 (hexadecimal) by file name.
        started: RFC 3339 time in UTC.
        finished: RFC 3339 time in UTC.
        epoch: value of ``SOURCE_DATE_EPOCH`` that the backend saw.
        backend: requirement strings of the build system.
        python: version of the interpreter.
        revision: Git revision, or None.
    """

    files: dict[str, str]
    started: str
    finished: str
    epoch: int
    backend: tuple[str, ...]
    python: str
    revision: SourceRevision | None


def build_project(project: PluginProject, *, isolated: bool, progress: Callable[[str], None]) -> BuildRecord:
    """Build ``project`` into its ``dist`` folder: an sdist from the tree, then the wheel from that sdist.

    Files of other versions stay where they are; those of this version are replaced.

    Args:
        isolated: install the build system into an environment of its own (needs an index), as PEP 517
            frontends do by default; otherwise the running environment must hold it.
        progress: told what happens.

    Raises:
        BuildError: the backend failed or made something unexpected.
    """
    revision = find_revision(project.directory)
    epoch = _epoch(revision)
    _remove_previous(project)
    started = datetime.now(UTC)
    progress(f"building {project.name} {project.version} with {EPOCH_VARIABLE}={epoch}")
    _run_frontend(project, epoch, isolated=isolated)
    files = {path.name: sha256_of(path) for path in release_files(project)}
    record = BuildRecord(
        files=files,
        started=_timestamp(started),
        finished=_timestamp(datetime.now(UTC)),
        epoch=epoch,
        backend=_backend(project),
        python=".".join(map(str, sys.version_info[:3])),
        revision=revision,
    )
    (project.dist / RECORD_NAME).write_text(json.dumps(asdict(record), indent=2) + "\n", encoding="utf-8")
    return record


def load_record(project: PluginProject) -> BuildRecord:
    """Return the record of the last build, checked against the files that are there.

    Raises:
        BuildError: no build, or a file differs from what was built.
    """
    remedy = "Build it again with: envcli plugin build"
    try:
        raw = json.loads((project.dist / RECORD_NAME).read_text(encoding="utf-8"))
        revision = raw.pop("revision")
        backend = tuple(raw.pop("backend"))
        record = BuildRecord(
            **raw, backend=backend, revision=SourceRevision(**revision) if revision else None
        )
    except FileNotFoundError:
        raise BuildError(f"{project.name} {project.version} has not been built", remedy=remedy) from None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise BuildError(f"cannot read {project.dist / RECORD_NAME}: {error}", remedy=remedy) from error
    for path in release_files(project):
        if record.files.get(path.name) != sha256_of(path):
            raise BuildError(f"{path.name} is not the file that was built", remedy=remedy)
    return record


def release_files(project: PluginProject) -> tuple[Path, Path]:
    """Return the wheel and the source archive of the project's current version.

    Raises:
        BuildError: there is not exactly one of each.
    """
    candidates = [path for path in sorted(project.dist.glob("*")) if _belongs(path.name, project)]
    wheels = [path for path in candidates if path.suffix == ".whl"]
    archives = [path for path in candidates if path.suffix != ".whl"]
    if len(wheels) != 1 or len(archives) != 1:
        raise BuildError(
            f"{project.dist} holds {len(wheels)} wheels and {len(archives)} source archives"
            f" of {project.name} {project.version}",
            remedy="Build exactly one of each with: envcli plugin build",
        )
    return wheels[0], archives[0]


def sha256_of(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _belongs(filename: str, project: PluginProject) -> bool:
    try:
        if filename.endswith(".whl"):
            name, version, _, _ = parse_wheel_filename(filename)
        else:
            name, version = parse_sdist_filename(filename)
    except (InvalidWheelFilename, InvalidSdistFilename):
        return False
    return (name, version) == (project.name, Version(project.version))


def _remove_previous(project: PluginProject) -> None:
    for path in project.dist.glob("*"):
        distribution = path.name.removesuffix(".attestation")
        distribution = distribution.rpartition(".")[0] if distribution != path.name else distribution
        if _belongs(distribution, project):
            path.unlink()


def _epoch(revision: SourceRevision | None) -> int:
    stated = os.environ.get(EPOCH_VARIABLE, "")
    if stated.isascii() and stated.isdigit():
        return max(int(stated), EARLIEST_ZIP_TIME)
    return max(revision.committed if revision else 0, EARLIEST_ZIP_TIME)


def _run_frontend(project: PluginProject, epoch: int, *, isolated: bool) -> None:
    command = [sys.executable, "-m", "build", "--outdir", str(project.dist), str(project.directory)]
    command += ["--installer", "uv"] if isolated else ["--no-isolation"]
    environment = {name: value for name, value in os.environ.items() if name not in SECRET_VARIABLES}
    environment |= {EPOCH_VARIABLE: str(epoch), "PYTHONHASHSEED": "0"}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env=environment, timeout=BUILD_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise BuildError(f"the build took longer than {BUILD_SECONDS} s") from error
    if done.returncode != 0:
        raise BuildError(
            f"building {project.name} failed: {_cause(done.stdout + done.stderr)}",
            remedy=f"See the whole output with: python -m build {project.directory}",
        )


def _cause(output: str) -> str:
    """The exception that ended the backend, or else the last line there is."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    raised = [line for line in lines if re.match(r"[A-Za-z_.]*(?:Error|Exception)\b", line)]
    return (raised or lines or ["no output"])[-1]


def _backend(project: PluginProject) -> tuple[str, ...]:
    document: dict[str, Any] = tomllib.loads(
        (project.directory / "pyproject.toml").read_text(encoding="utf-8")
    )
    return tuple(str(item) for item in document.get("build-system", {}).get("requires", ()))


def _timestamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
