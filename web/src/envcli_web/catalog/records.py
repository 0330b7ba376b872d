"""Reading the index's project records. Pure functions that bear garbled values."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from packaging.version import InvalidVersion, Version

INSTALLABLE = frozenset({"released"})
LISTED_STATUS = frozenset({"active", "deprecated", "archived"})
MAX_KEYWORDS = 30


@dataclass(frozen=True)
class Takedown:
    """A signed order not to install or run a release, as the index tells it.

    Attributes:
        id: what one names in an appeal.
        reason: why, in the words of whoever signed it.
        severity: ``low`` to ``critical``.
        issued: when it was signed, ``None`` if that cannot be read.
        advisory: id of an advisory, or empty.
    """

    id: str
    reason: str
    severity: str
    issued: datetime | None
    advisory: str

    def as_json(self) -> dict[str, Any]:
        """Return the order for the JSON interface."""
        issued = self.issued.isoformat() if self.issued else None
        return {
            "id": self.id,
            "reason": self.reason,
            "severity": self.severity,
            "issued": issued,
            "advisory": self.advisory or None,
        }


def takedown_of(release: Mapping[str, Any]) -> Takedown | None:
    """Return the order that took a release down; ``None`` where the index names none."""
    found = release.get("takedown")
    if not isinstance(found, Mapping):
        return None
    return Takedown(
        id=str(found.get("id") or "unknown"),
        reason=str(found.get("reason") or "no reason was given"),
        severity=str(found.get("severity") or "unknown"),
        issued=parse_time(found.get("issued")),
        advisory=str(found.get("advisory") or ""),
    )


def parse_time(value: object) -> datetime | None:
    """Return an ISO 8601 time with its zone, None where ``value`` is not one."""
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return moment if moment.tzinfo else None


def version_order(release: Mapping[str, Any]) -> tuple[bool, bool, Version]:
    """Return what releases are ordered by: final versions above pre-releases, unreadable versions last (PEP 440)."""
    try:
        version = Version(str(release.get("version", "")))
    except InvalidVersion:
        return False, False, Version("0")
    return True, not version.is_prerelease, version


def releases_of(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the releases of a record, the newest version first."""
    found = [release for release in record.get("releases") or [] if isinstance(release, dict)]
    return sorted(found, key=version_order, reverse=True)


def is_installable(record: Mapping[str, Any], release: Mapping[str, Any]) -> bool:
    """Return whether people can install the release at this moment."""
    return (
        release.get("state") in INSTALLABLE
        and not release.get("yanked")
        and (record.get("status") or "active") in LISTED_STATUS
        and bool(release.get("files"))
    )


def latest_version(record: Mapping[str, Any]) -> str | None:
    """Return the newest version that can be installed."""
    return next((str(item["version"]) for item in releases_of(record) if is_installable(record, item)), None)


def keywords_of(record: Mapping[str, Any]) -> list[str]:
    """Return the keywords, whether the record has them as a list or as one text."""
    value = record.get("keywords") or []
    words = value.replace(",", " ").split() if isinstance(value, str) else [str(word) for word in value]
    return words[:MAX_KEYWORDS]
