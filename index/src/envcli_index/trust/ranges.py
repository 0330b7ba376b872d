"""Which versions an OSV advisory affects (OSV schema 1.6, section "Evaluation"), with PEP 440's order of versions.

Where an advisory cannot be understood the answer is "affected": an unreadable first affected version counts
as the very first, an unreadable fix as no fix.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

ECOSYSTEM = "PyPI"
_RANGE_TYPES = ("ECOSYSTEM", "SEMVER")


def is_affected(advisory: Mapping[str, Any], name: str, version: Version | None) -> bool:
    """Return whether ``advisory`` affects a version of a PyPI project.

    Args:
        advisory: an OSV document.
        name: the project's normalized name.
        version: the version, or None to ask for any version.
    """
    return any(
        package_name(affected) == name and (version is None or _includes(affected, version))
        for affected in advisory.get("affected", [])
    )


def package_name(affected: Mapping[str, Any]) -> str | None:
    """Return the normalized name of the PyPI project that an ``affected`` entry is about, or None."""
    package = affected.get("package", {})
    return canonicalize_name(package["name"]) if package.get("ecosystem") == ECOSYSTEM else None


def _includes(affected: Mapping[str, Any], version: Version) -> bool:
    listed = any(_parsed(text) == version for text in affected.get("versions", []))
    return listed or any(_is_in_range(found, version) for found in affected.get("ranges", []))


def _is_in_range(found: Mapping[str, Any], version: Version) -> bool:
    events = found.get("events", [])
    if found.get("type") not in _RANGE_TYPES or not _is_before_limits(events, version):
        return False
    inside = False
    for kind, bound in _sorted_events(events):
        if kind == "introduced" and (bound is None or version >= bound):
            inside = True
        elif bound is not None and (
            (kind == "fixed" and version >= bound) or (kind == "last_affected" and version > bound)
        ):
            inside = False
    return inside


def _is_before_limits(events: Sequence[Mapping[str, str]], version: Version) -> bool:
    limits = [_parsed(event["limit"]) for event in events if "limit" in event]
    return not limits or any(limit is None or version < limit for limit in limits)


def _sorted_events(events: Sequence[Mapping[str, str]]) -> list[tuple[str, Version | None]]:
    """Return the events in the order of versions, unbounded ones first; equal ones keep the advisory's order."""
    pairs = [(kind, _bound(kind, text)) for event in events for kind, text in event.items()]
    unbounded = [pair for pair in pairs if pair[1] is None]
    bounded = [(kind, bound) for kind, bound in pairs if bound is not None]
    return [*unbounded, *sorted(bounded, key=lambda pair: pair[1])]


def _bound(kind: str, text: str) -> Version | None:
    """Return a bound; introduced at "0" is OSV's word for before every version, and PEP 440 knows some before 0."""
    return None if (kind, text) == ("introduced", "0") else _parsed(text)


def _parsed(text: str) -> Version | None:
    try:
        return Version(text)
    except InvalidVersion:
        return None
