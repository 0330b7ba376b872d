"""Metadata: what the wheel says about itself agrees with its name, its entry point and its manifest."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from email.parser import HeaderParser
from typing import ClassVar

from envcli_sdk import ManifestError
from packaging.metadata import InvalidMetadata, Metadata
from packaging.tags import parse_tag
from packaging.utils import canonicalize_name, parse_wheel_filename

from envcli_vetting.errors import ArchiveError
from envcli_vetting.observation import Findings, Observation, error, warning
from envcli_vetting.tree import ReleaseTree
from envcli_vetting.wheel import ENTRY_POINT_GROUP, parse_entry_points

_MAX_METADATA = 1 << 20
_PREFIX = "envcli-plugin-"
_RESERVED = frozenset({"envcli", "envcli_host", "envcli_sdk", "envcli_sandbox", "envcli_policy", "envcli_vetting",
                       "envcli_index", "envcli_web"})  # fmt: skip


@dataclass(frozen=True)
class MetadataCheck:
    """See the module."""

    id: ClassVar[str] = "metadata"
    version: ClassVar[str] = "1"
    required: ClassVar[bool] = True
    seconds: ClassVar[float] = 30

    def run(self, tree: ReleaseTree) -> Findings:
        """Check METADATA, WHEEL, entry points, manifest and top-level names."""
        observations = (
            *_core_metadata(tree),
            *_wheel_tags(tree),
            *_entry_points(tree),
            *_manifest(tree),
            *_top_level(tree),
        )
        return Findings(observations)


CHECK = MetadataCheck()


def _core_metadata(tree: ReleaseTree) -> Iterator[Observation]:
    path = tree.info / "METADATA"
    if not path.is_file() or path.stat().st_size > _MAX_METADATA:
        yield _wrong("metadata-invalid", "METADATA is missing or larger than 1 MiB", "METADATA")
        return
    try:
        metadata = Metadata.from_email(path.read_bytes(), validate=True)
    except (ExceptionGroup, InvalidMetadata, UnicodeDecodeError) as broken:
        yield _wrong("metadata-invalid", f"METADATA: {_first(broken)}", "METADATA")
        return
    if (canonicalize_name(metadata.name), str(metadata.version)) != (tree.name, tree.version):
        seen = f"{metadata.name} {metadata.version}"
        yield _wrong(
            "metadata-mismatch", f"METADATA says {seen}, the file name {tree.name} {tree.version}", "METADATA"
        )
    if not tree.name.startswith(_PREFIX) or tree.name == _PREFIX.rstrip("-"):
        yield _wrong("name-reserved", f"{tree.name} does not start with {_PREFIX}", "METADATA")
    for requirement in metadata.requires_dist or []:
        if requirement.url:
            yield _wrong("dependency-url", f"{requirement.name} is required from an address", "METADATA")
    yield from _recommended(metadata)


def _recommended(metadata: Metadata) -> Iterator[Observation]:
    wanted = {
        "Requires-Python": metadata.requires_python,
        "Summary": metadata.summary,
        "License-Expression": metadata.license_expression or metadata.license,
        "Description": metadata.description,
    }
    for name, value in wanted.items():
        if not value:
            yield warning(
                "metadata-incomplete",
                f"METADATA has no {name}",
                path="METADATA",
                why="Users see it before they install",
                fix=f"Set {name} in pyproject.toml",
            )


def _wheel_tags(tree: ReleaseTree) -> Iterator[Observation]:
    path = tree.info / "WHEEL"
    try:
        headers = HeaderParser().parsestr(path.read_text(encoding="utf-8")[:10_000])
    except (OSError, UnicodeDecodeError):
        yield _wrong("metadata-invalid", "WHEEL is missing or not UTF-8", "WHEEL")
        return
    if not str(headers.get("Wheel-Version", "")).startswith("1."):
        yield _wrong("metadata-invalid", "WHEEL has no Wheel-Version 1.x", "WHEEL")
    tags = {tag for line in headers.get_all("Tag", []) for tag in parse_tag(str(line))}
    if tags != set(parse_wheel_filename(tree.wheel.name)[3]):
        yield _wrong("metadata-mismatch", "the tags in WHEEL and in the file name differ", "WHEEL")


def _entry_points(tree: ReleaseTree) -> Iterator[Observation]:
    path = tree.info / "entry_points.txt"
    try:
        groups = parse_entry_points(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except (ArchiveError, UnicodeDecodeError) as broken:
        yield _wrong("entry-point-invalid", f"entry_points.txt: {_first(broken)}", "entry_points.txt")
        return
    for group in sorted(groups.keys() - {ENTRY_POINT_GROUP}):
        yield error(
            "entry-point-foreign",
            f"entry points in the group {group!r}",
            path="entry_points.txt",
            why="They run in other programs, outside the sandbox",
            fix=f"Keep only the group {ENTRY_POINT_GROUP!r}; offer commands through plugin.toml",
        )


def _manifest(tree: ReleaseTree) -> Iterator[Observation]:
    try:
        name, reference = tree.entry_point()
        manifest = tree.manifest()
    except ArchiveError as broken:
        yield _wrong(broken.rule, broken.message, broken.path)
        return
    except ManifestError as broken:
        yield _wrong("manifest-invalid", str(broken), "plugin.toml")
        return
    if manifest.id != name:
        yield _wrong(
            "manifest-mismatch",
            f"the entry point is {name!r}, the manifest's id {manifest.id!r}",
            "plugin.toml",
        )
    module = reference.partition(":")[0].strip().replace(".", "/")
    if not any((tree.root / f"{module}{tail}").is_file() for tail in (".py", "/__init__.py")):
        yield _wrong(
            "entry-point-missing",
            f"the entry point's module {module} is not in the wheel",
            "entry_points.txt",
        )


def _top_level(tree: ReleaseTree) -> Iterator[Observation]:
    own = tree.name.replace("-", "_")
    tops = {path.name for path in tree.root.iterdir() if not path.name.endswith(".dist-info")}
    for top in sorted(tops):
        module = top.removesuffix(".py")
        if module in sys.stdlib_module_names or module.lower() in _RESERVED:
            yield error(
                "top-level-shadow",
                f"the wheel installs {top}, which is not the plugin's own",
                path=top,
                why="It could take the place of a module that other code imports",
                fix=f"Put everything into one package, for instance {own}",
            )
        elif module.lower() not in {own, own.removeprefix("envcli_plugin_")}:
            yield warning(
                "top-level-name",
                f"the wheel installs {top}",
                path=top,
                why="Names unlike the project's own can collide with other packages",
                fix=f"Put everything into one package, for instance {own}",
            )


def _wrong(rule: str, evidence: str, path: str) -> Observation:
    return error(
        rule,
        evidence,
        path=path,
        why="Users and tools rely on these fields to name and find the plugin",
        fix="Correct pyproject.toml or plugin.toml and build again",
    )


def _first(broken: BaseException) -> str:
    while isinstance(broken, BaseExceptionGroup):
        broken = broken.exceptions[0]
    return (str(broken).splitlines() or [type(broken).__name__])[0]
