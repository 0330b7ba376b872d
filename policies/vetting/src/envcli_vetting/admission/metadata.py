"""Whether file name, metadata and manifest tell one story.

Sources: PyPA specifications (core metadata, binary distribution file name, entry points), PEP 440, PEP 503.
"""

import configparser
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from packaging.metadata import Metadata
from packaging.requirements import Requirement
from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import InvalidVersion, Version

from envcli_vetting.admission.archive import SafeWheel
from envcli_vetting.admission.errors import AdmissionError

ENTRY_POINT_GROUP = "envcli.plugins"
MAX_MANIFEST_BYTES = 64 * 1024
MAX_SUMMARY = 512
MAX_DESCRIPTION = 256 * 1024
MAX_VERSION = 60

_FILENAME = re.compile(r"[A-Za-z0-9_.!-]{1,200}")
_NAME = re.compile(r"envcli-plugin-[a-z0-9]+(-[a-z0-9]+)*")
MAX_PROJECT_NAME = 80


@dataclass(frozen=True)
class FileIdentity:
    """What a file name says.

    Attributes:
        project: normalized name.
        version: normalized version.
        kind: ``wheel`` or ``sdist``.
    """

    project: str
    version: str
    kind: str


def parse_filename(filename: str) -> FileIdentity:
    """Read a distribution's file name.

    Raises:
        AdmissionError: ``filename-invalid`` or ``name-reserved``.
    """
    try:
        if filename.endswith(".whl"):
            name, version, _, _ = parse_wheel_filename(filename)
            kind = "wheel"
        elif filename.endswith(".tar.gz"):
            name, version = parse_sdist_filename(filename)
            kind = "sdist"
        else:
            raise AdmissionError(
                "filename-invalid", f"{filename[:80]!r} is neither a wheel nor a .tar.gz source archive"
            )
    except (InvalidWheelFilename, InvalidSdistFilename, InvalidVersion) as error:
        raise AdmissionError(
            "filename-invalid", str(error)[:200], remedy="Build it with a current backend"
        ) from error
    if not _FILENAME.fullmatch(filename):
        raise AdmissionError("filename-invalid", f"{filename[:80]!r} holds unusual characters or is too long")
    _check_version(version, filename)
    check_project_name(name)
    _check_spelling(filename, f"{name.replace('-', '_')}-{version}")
    return FileIdentity(name, str(version), kind)


def check_project_name(name: str) -> None:
    """Refuse every name that publishers may not register.

    Args:
        name: normalized project name.

    Raises:
        AdmissionError: ``name-reserved``.
    """
    if not _NAME.fullmatch(name) or len(name) > MAX_PROJECT_NAME:
        raise AdmissionError(
            "name-reserved",
            f"{name[:100]!r} may not be published here",
            remedy="Name the project envcli-plugin-<name>",
        )


def _check_spelling(filename: str, expected: str) -> None:
    """One release has one spelling in its file names; two would let two files stand for the same thing.

    Source: PyPA specifications, binary distribution format and source distribution file name.
    """
    if not filename.startswith((f"{expected}-", f"{expected}.tar.gz")):
        raise AdmissionError(
            "filename-invalid",
            f"{filename} does not begin with {expected}, the normalized name and version",
            remedy="Build it with a current backend",
        )


def _check_version(version: Version, filename: str) -> None:
    if version.local is not None or len(str(version)) > MAX_VERSION:
        raise AdmissionError(
            "filename-invalid",
            f"{filename} has a local or overlong version",
            remedy="Use a public PEP 440 version",
        )


def parse_core_metadata(raw: bytes, identity: FileIdentity) -> dict[str, Any]:
    """Check METADATA or PKG-INFO against the file name, and return the fields that the index shows.

    Args:
        raw: the file's bytes.
        identity: from ``parse_filename``.

    Raises:
        AdmissionError: ``metadata-invalid`` or ``metadata-mismatch``.
    """
    try:
        fields = Metadata.from_email(raw, validate=True)
    except ExceptionGroup as group:
        raise AdmissionError(
            "metadata-invalid", f"metadata: {_first_line(group)}", remedy="Correct it and build"
        ) from group
    seen = FileIdentity(canonicalize_name(fields.name), str(fields.version), identity.kind)
    if seen != identity:
        raise AdmissionError(
            "metadata-mismatch", f"metadata say {seen.project} {seen.version}, the file name another"
        )
    _check_dependencies(fields.requires_dist or [])
    if len(fields.summary or "") > MAX_SUMMARY or len(fields.description or "") > MAX_DESCRIPTION:
        raise AdmissionError("metadata-invalid", "summary or description is too long", remedy="Shorten them")
    shown = _shown(fields)
    _check_printable(shown)
    return shown


def _check_dependencies(requirements: list[Requirement]) -> None:
    for requirement in requirements:
        if requirement.url:
            raise AdmissionError(
                "metadata-invalid",
                f"the dependency {requirement.name} points to a URL",
                remedy="Depend on a version from an index",
            )


def _check_printable(shown: Mapping[str, Any]) -> None:
    """What people read in a terminal or a list holds nothing that moves the cursor or turns the direction of text."""
    description = re.sub(r"[\t\n\f\r]", "", str(shown["description"]))
    if re.search(r"[\x00-\x1f\x7f-\x9f]", description):
        raise AdmissionError(
            "metadata-invalid", "the description holds control characters", remedy="Remove them"
        )
    for name, value in shown.items():
        if name != "description" and not all(text.isprintable() for text in _texts(value)):
            raise AdmissionError(
                "metadata-invalid",
                f"{name} holds unprintable characters",
                remedy="Write it on one plain line",
            )


def _texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [str(part) for pair in value.items() for part in pair]
    return [str(part) for part in value] if isinstance(value, list) else [str(value)]


def _shown(fields: Metadata) -> dict[str, Any]:
    return {
        "name": fields.name,
        "summary": fields.summary or "",
        "description": fields.description or "",
        "description_content_type": fields.description_content_type or "text/plain",
        "author": fields.author or fields.author_email or "",
        "license": str(fields.license_expression or fields.license or "").strip().split("\n", 1)[0],
        "keywords": list(fields.keywords or []),
        "classifiers": list(fields.classifiers or []),
        "requires_python": str(fields.requires_python) if fields.requires_python else None,
        "requires_dist": [str(one) for one in fields.requires_dist or []],
        "project_urls": {label: url for label, url in (fields.project_urls or {}).items() if _is_web(url)},
    }


def _is_web(url: str) -> bool:
    return url.startswith(("https://", "http://"))


def _first_line(group: ExceptionGroup[Exception]) -> str:
    first: BaseException = group
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return str(first).split("\n", 1)[0][:200]


def read_manifest(wheel: SafeWheel) -> str:
    """Find, parse and return the wheel's ``plugin.toml``.

    Raises:
        AdmissionError: ``entry-point-missing``, ``manifest-missing`` or ``manifest-invalid``.
    """
    from envcli_sdk import ManifestError, parse_manifest

    name, value = _plugin_entry_point(wheel)
    path = value.split(":", 1)[0].split(".", 1)[0].strip() + "/plugin.toml"
    raw = wheel.read_text(path, MAX_MANIFEST_BYTES)
    if raw is None:
        raise AdmissionError(
            "manifest-missing", f"{wheel.filename} has no {path}", remedy="Add it as package data"
        )
    try:
        manifest = parse_manifest(raw)
    except ManifestError as error:
        raise AdmissionError("manifest-invalid", f"{path}: {str(error)[:300]}") from error
    if manifest.id != name:
        raise AdmissionError(
            "manifest-invalid", f"{path} has the id {manifest.id!r}, the entry point the name {name!r}"
        )
    return raw.decode("utf-8")


def _plugin_entry_point(wheel: SafeWheel) -> tuple[str, str]:
    parser = configparser.ConfigParser(delimiters=("=",), interpolation=None, strict=True)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # names are case-sensitive
    raw = wheel.read_text(f"{wheel.dist_info}/entry_points.txt") or b""
    try:
        parser.read_string(raw.decode("utf-8"))
    except (UnicodeDecodeError, configparser.Error) as error:
        raise AdmissionError(
            "entry-point-missing", f"entry_points.txt of {wheel.filename} is unreadable"
        ) from error
    found = parser.items(ENTRY_POINT_GROUP) if parser.has_section(ENTRY_POINT_GROUP) else []
    if len(found) != 1:
        raise AdmissionError(
            "entry-point-missing",
            f"{wheel.filename} has {len(found)} entry points in the group {ENTRY_POINT_GROUP}",
            remedy="Declare exactly one: <plugin id> = <package>.<module>:<class>",
        )
    return found[0]
