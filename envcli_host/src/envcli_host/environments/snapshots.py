"""Copies of an environment's file, taken before it is overwritten."""

from datetime import UTC, datetime
from pathlib import Path

from envcli_host.environments.project import Project
from envcli_host.files import write_atomically

KEPT = 20


def take_snapshot(project: Project, environment: str) -> Path:
    """Copy the file of ``environment`` to ``.envcli/snapshots`` (mode 0600) and keep the newest twenty of it.

    Returns:
        The copy's path.
    """
    directory = project.path_of("snapshots")
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
    target = directory / f"{environment}@{stamp}.env"
    write_atomically(target, project.file_of(environment).read_bytes())
    for old in sorted(directory.glob(f"{environment}@*.env"))[:-KEPT]:
        old.unlink(missing_ok=True)
    return target
