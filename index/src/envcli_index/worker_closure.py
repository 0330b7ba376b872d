"""The dependency closure of a release: every wheel that users would install with it, fetched and hashed.

Third-party packages come from the upstream index as wheels only, so that nothing is built or run here. Names of
this project never come from there: ``envcli-plugin-*`` are plugins of their own, with their own vetting, and any
other ``envcli*`` is taken from the first-party wheels that the index's administrator provided.
"""

import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from envcli_vetting.errors import ArchiveError
from envcli_vetting.report import VettedFile
from envcli_vetting.wheel import dist_info, read_wheel
from envcli_vetting.zip_structure import ArchiveLimits
from packaging.metadata import RawMetadata, parse_email
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import Version

from envcli_index.errors import IndexServiceError

PYTHONS: tuple[str, ...] = ("3.11", "3.12", "3.13")
GLIBC = range(17, 29)
TOOL_SECONDS = 300
MAX_WHEELS = 300
MAX_BYTES = 1 << 30
PLUGIN_PREFIX = "envcli-plugin-"

_PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==([^\s;\\]+)", re.MULTILINE)


class ClosureError(IndexServiceError):
    """The requirements of a release cannot be met; trying again does not help."""

    def __init__(self, rule: str, message: str, *, remedy: str) -> None:
        super().__init__(message, remedy=remedy)
        self.rule = rule


class UpstreamError(IndexServiceError):
    """The upstream index did not answer as it should; trying again may help."""


@dataclass(frozen=True)
class ClosureWheel:
    """One dependency wheel and where its bytes lie."""

    name: str
    version: str
    filename: str
    sha256: str
    path: Path


@dataclass(frozen=True)
class Closure:
    """Every wheel for every supported Python on this platform, and the plugins that are needed beside it."""

    wheels: tuple[ClosureWheel, ...]
    plugins: tuple[str, ...]


@dataclass(frozen=True)
class _Split:
    third_party: tuple[str, ...]
    first_party: tuple[Path, ...]
    plugins: tuple[str, ...]


def resolve_closure(
    wheels: Sequence[Path], folder: Path, *, upstream: str | None, first_party: Path | None
) -> Closure:
    """Resolve and fetch the dependencies of a release.

    Args:
        wheels: The release's wheels.
        folder: An empty folder to work in; the fetched wheels stay there.
        upstream: Simple index for third-party packages, None for what this machine's tools are set to.
        first_party: Folder of this project's own wheels.

    Raises:
        ClosureError: A requirement is not allowed or cannot be met.
        UpstreamError: A tool failed in a way that may pass.
    """
    requirements, pythons = read_requirements(wheels)
    split = _split(requirements, first_party)
    fetched: set[Path] = set(split.first_party)
    reusable = ""
    for python in pythons if split.third_party else ():
        target = folder / python
        target.mkdir()
        lock = _compile(split.third_party, python, target, upstream)
        if _pins(lock) == reusable:
            continue  # the same versions, all of them pure Python: the same wheels
        downloaded = _download(target / "lock.txt", python, target, upstream)
        reusable = _pins(lock) if all(path.name.endswith("-none-any.whl") for path in downloaded) else ""
        fetched.update(downloaded)
    return Closure(_describe(fetched), split.plugins)


def read_requirements(wheels: Sequence[Path]) -> tuple[tuple[Requirement, ...], tuple[str, ...]]:
    """The union of the wheels' ``Requires-Dist``, and the supported Pythons that all of them accept.

    Raises:
        ClosureError: METADATA cannot be read, or no supported Python is accepted.
    """
    found: dict[str, Requirement] = {}
    pythons = PYTHONS
    for wheel in wheels:
        metadata = _core_metadata(wheel)
        try:
            for text in metadata.get("requires_dist", []):
                found[str(Requirement(text))] = Requirement(text)
            accepted = SpecifierSet(metadata.get("requires_python", ""))
        except (InvalidRequirement, InvalidSpecifier) as error:
            raise ClosureError(
                "dependency-invalid",
                f"{wheel.name}: {error}",
                remedy="Correct the dependencies in pyproject.toml",
            ) from error
        pythons = tuple(python for python in pythons if accepted.contains(f"{python}.99"))
    if not pythons:
        raise ClosureError(
            "python-unsupported",
            f"the release accepts none of Python {', '.join(PYTHONS)}",
            remedy="Widen requires-python",
        )
    return tuple(found.values()), pythons


def _core_metadata(wheel: Path) -> RawMetadata:
    try:
        archive = read_wheel(wheel, ArchiveLimits())
        member = archive.find(f"{dist_info(archive, wheel.name)}/METADATA")
        content = archive.read(member) if member else b""
    except ArchiveError as error:
        raise ClosureError(error.rule, error.message, remedy=error.remedy) from error
    return parse_email(content)[0]


def _split(requirements: Iterable[Requirement], first_party: Path | None) -> _Split:
    third: set[str] = set()
    own: dict[str, Path] = {}
    plugins: set[str] = set()
    waiting = list(requirements)
    while waiting:
        one = waiting.pop()
        name = canonicalize_name(one.name)
        if one.url:
            raise ClosureError(
                "dependency-url", f"{name} is required from an address", remedy="Require a released version"
            )
        if name.startswith(PLUGIN_PREFIX):
            plugins.add(str(one))
        elif is_own_name(name):
            if name not in own:
                own[name] = _first_party_wheel(one, first_party)
                waiting += read_requirements([own[name]])[0]
        else:
            third.add(str(one))
    return _Split(tuple(sorted(third)), tuple(own.values()), tuple(sorted(plugins)))


def is_own_name(name: str) -> bool:
    """Whether a normalized name belongs to this project and must never come from elsewhere."""
    return name == "envcli" or name.startswith("envcli-")


def _first_party_wheel(wanted: Requirement, folder: Path | None) -> Path:
    name = canonicalize_name(wanted.name)
    found: list[tuple[Version, Path]] = []
    for path in folder.glob("*.whl") if folder else ():
        try:
            its_name, version, _, _ = parse_wheel_filename(path.name)
        except InvalidWheelFilename:
            continue
        if its_name == name and wanted.specifier.contains(version, prereleases=True):
            found.append((version, path))
    if not found:
        raise ClosureError(
            "dependency-first-party",
            f"{wanted} belongs to this project, and the index has no such wheel",
            remedy="Require another version, or ask the index's administrator to provide it",
        )
    return max(found)[1]


def _compile(requirements: Sequence[str], python: str, folder: Path, upstream: str | None) -> str:
    source, lock = folder / "requirements.in", folder / "lock.txt"
    source.write_text("".join(f"{line}\n" for line in requirements), encoding="utf-8")
    arguments = [
        _uv(),
        "pip",
        "compile",
        str(source),
        "-o",
        str(lock),
        "--quiet",
        "--no-header",
        "--no-annotate",
    ]
    arguments += ["--python-version", python, "--python-platform", f"{platform.machine()}-manylinux_2_28"]
    arguments += [
        "--only-binary",
        ":all:",
        "--generate-hashes",
        "--no-emit-index-url",
        "--no-python-downloads",
    ]
    if upstream:
        arguments.append("--no-config")
    done = _run(arguments, folder, upstream)
    if done.returncode == 1 and "No solution found" in done.stderr:
        raise ClosureError(
            "dependency-unresolvable",
            f"the dependencies cannot be met on Python {python}: {_summary(done.stderr)}",
            remedy="Loosen the requirements, or require packages that offer wheels",
        )
    if done.returncode != 0:
        raise UpstreamError(
            f"resolving dependencies failed: {_summary(done.stderr)}", remedy="It is tried again"
        )
    text = lock.read_text(encoding="utf-8")
    _check_lock(text)
    return text


def _check_lock(lock: str) -> None:
    names = [canonicalize_name(name) for name, _ in _PIN.findall(lock)]
    if strangers := [name for name in names if is_own_name(name)]:
        raise ClosureError(
            "dependency-confusion",
            f"a dependency requires {strangers[0]}, which only this project may provide",
            remedy="Do without that dependency",
        )
    if len(names) > MAX_WHEELS:
        raise ClosureError(
            "dependency-too-many",
            f"{len(names)} dependencies, the limit is {MAX_WHEELS}",
            remedy="Require less",
        )


def _download(lock: Path, python: str, folder: Path, upstream: str | None) -> list[Path]:
    wheels = folder / "wheels"
    wheels.mkdir()
    tag = f"cp{python.replace('.', '')}"
    arguments = [sys.executable, "-m", "pip", "download", "-r", str(lock), "-d", str(wheels), "--quiet"]
    arguments += ["--require-hashes", "--no-deps", "--only-binary", ":all:", "--disable-pip-version-check"]
    arguments += ["--python-version", python, "--implementation", "cp"]
    for abi in (tag, "abi3", "none"):
        arguments += ["--abi", abi]
    for name in _platforms():
        arguments += ["--platform", name]
    done = _run(arguments, folder, upstream)
    if done.returncode != 0:
        raise UpstreamError(
            f"fetching dependencies failed: {_summary(done.stderr)}", remedy="It is tried again"
        )
    found = sorted(wheels.glob("*.whl"))
    if sum(path.stat().st_size for path in found) > MAX_BYTES:
        raise ClosureError(
            "dependency-too-large", f"the dependencies exceed {MAX_BYTES} bytes", remedy="Require less"
        )
    pins = {(canonicalize_name(name), Version(version)) for name, version in _PIN.findall(lock.read_text())}
    seen = {parse_wheel_filename(path.name)[:2] for path in found}
    if seen != pins:
        raise UpstreamError("the fetched wheels are not those of the lock", remedy="It is tried again")
    return found


def _platforms() -> list[str]:
    machine = platform.machine()
    glibc = [f"manylinux_2_{minor}_{machine}" for minor in reversed(GLIBC)]
    return [*glibc, f"manylinux2014_{machine}", f"manylinux2010_{machine}", f"manylinux1_{machine}",
            f"linux_{machine}", "any"]  # fmt: skip


def _run(arguments: Sequence[str], folder: Path, upstream: str | None) -> subprocess.CompletedProcess[str]:
    """Run a tool; addresses of indexes go through its environment, since they may hold credentials."""
    environment = {**os.environ, "PIP_NO_INPUT": "1", "NO_COLOR": "1"}
    if upstream:
        environment |= {"UV_DEFAULT_INDEX": upstream, "PIP_INDEX_URL": upstream, "PIP_EXTRA_INDEX_URL": ""}
        environment |= {"PIP_FIND_LINKS": "", "UV_INDEX": "", "UV_FIND_LINKS": ""}
    try:
        return subprocess.run(
            arguments,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TOOL_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise UpstreamError(f"{Path(arguments[0]).name} took longer than {TOOL_SECONDS} s") from error


def _uv() -> str:
    from uv import find_uv_bin

    return str(find_uv_bin())


def _pins(lock: str) -> str:
    return "\n".join(sorted(f"{canonicalize_name(name)}=={version}" for name, version in _PIN.findall(lock)))


def _summary(stderr: str) -> str:
    """The tool's message in one line, without any address's credentials."""
    text = " ".join(stderr.split())[:400]
    return re.sub(r"//[^/@\s]*@", "//***@", text)


def _describe(paths: Iterable[Path]) -> tuple[ClosureWheel, ...]:
    described = []
    for path in sorted(paths, key=lambda one: one.name):
        name, version, _, _ = parse_wheel_filename(path.name)
        described.append(ClosureWheel(name, str(version), path.name, VettedFile.of(path).sha256, path))
    unique = {wheel.filename: wheel for wheel in described}
    if len({(wheel.filename, wheel.sha256) for wheel in described}) != len(unique):
        raise UpstreamError("one file name came with two contents", remedy="It is tried again")
    return tuple(unique.values())
