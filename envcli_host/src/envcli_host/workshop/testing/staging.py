"""Put a plugin and what it needs into one folder, from what the running environment has installed."""

import shutil
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from envcli_host.workshop.errors import ProjectError
from envcli_host.workshop.project import PluginProject

_SKIPPED = ("__pycache__", "*.pyc", "*.pth")


def stage_tree(project: PluginProject, tree: Path) -> None:
    """Copy the plugin's package and its installed dependencies, at the versions installed here, into ``tree``.

    Raises:
        ProjectError: a dependency is not installed.
    """
    source = project.manifest_file().parent
    shutil.copytree(source, tree / source.name, ignore=shutil.ignore_patterns(*_SKIPPED))
    for found in _closure(project.requirements):
        _copy_distribution(found, tree)


def _closure(requirements: tuple[str, ...]) -> Iterator[Distribution]:
    waiting = [Requirement(line) for line in requirements]
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        wanted = waiting.pop()
        key = (canonicalize_name(wanted.name), frozenset(wanted.extras))
        if key in seen or not _applies(wanted, frozenset()):
            continue
        seen.add(key)
        found = _installed(wanted)
        waiting += [
            needed
            for needed in map(Requirement, found.requires or ())
            if _applies(needed, frozenset(wanted.extras))
        ]
        yield found


def _applies(requirement: Requirement, extras: frozenset[str]) -> bool:
    marker = requirement.marker
    return marker is None or any(marker.evaluate({"extra": extra}) for extra in extras or {""})


def _installed(wanted: Requirement) -> Distribution:
    try:
        return distribution(wanted.name)
    except PackageNotFoundError:
        raise ProjectError(
            f"the dependency {wanted} is not installed here",
            remedy="Install the project into this environment",
        ) from None


def _copy_distribution(found: Distribution, tree: Path) -> None:
    inside = [
        file for file in found.files or () if ".." not in file.parts and file.suffix not in {".pth", ".pyc"}
    ]
    if all(".dist-info" in file.parts[0] for file in inside):
        _copy_editable(found, tree)
    for file in inside:
        source, target = Path(str(found.locate_file(file))), tree / file
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)


def _copy_editable(found: Distribution, tree: Path) -> None:
    """An editable install lists no modules: copy the package that is imported under its name."""
    name = canonicalize_name(found.name).replace("-", "_")
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise ProjectError(
            f"the files of {found.name} cannot be found", remedy="Install it without --editable"
        )
    source = Path(spec.origin).parent
    shutil.copytree(source, tree / name, ignore=shutil.ignore_patterns(*_SKIPPED), dirs_exist_ok=True)
