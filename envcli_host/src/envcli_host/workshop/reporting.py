"""Render what vetting says about a release, for a terminal. Its text is untrusted: made printable."""

from collections.abc import Mapping
from typing import Any

LONGEST_LINE = 300
ORDER = {"error": 0, "review": 1, "warning": 2, "note": 3}


def render_status(status: Mapping[str, Any]) -> str:
    """Return the state of a release and its observations, gravest first."""
    project, version, state = (_plain(status.get(key, "?")) for key in ("project", "version", "state"))
    head = f"{project} {version}: {state}"
    if status.get("reason"):
        head += f" ({_plain(status['reason'])})"
    return "\n".join([head, *render_observations(status.get("observations") or [])])


def render_observations(observations: list[Mapping[str, Any]]) -> list[str]:
    """Return lines ``severity rule path:line why`` and the remedy below each."""
    lines = []
    for item in sorted(observations, key=lambda item: ORDER.get(str(item.get("severity")), 9)):
        place = _plain(item.get("path") or "")
        if place and item.get("line"):
            place += f":{_plain(item['line'])}"
        parts = (item.get("severity"), item.get("rule"), place, item.get("why"))
        lines.append("  " + "  ".join(_plain(part) for part in parts if part))
        if item.get("evidence"):
            lines.append(f"      seen: {_plain(item['evidence'])}")
        if item.get("fix"):
            lines.append(f"      fix: {_plain(item['fix'])}")
    return lines or ["  no observations"]


def _plain(value: object) -> str:
    """Cut to one line and drop whatever could steer a terminal."""
    return "".join(
        char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in str(value)[:LONGEST_LINE]
    )
