"""Plugin wheels for vetting: an honest one, and the pieces to make it less so."""

from collections.abc import Mapping
from pathlib import Path

from common.wheels import build_wheel

NAME = "envcli-plugin-sample"
PACKAGE = "envcli_plugin_sample"
ENTRY_POINTS = f"[envcli.plugins]\nsample = {PACKAGE}.plugin:Sample\n"
HONEST = "class Sample:\n    def execute(self, command):\n        return command\n"


def manifest(*permissions: tuple[str, str], kind: str = "command") -> str:
    """A valid ``plugin.toml`` that asks for these permissions, given as (permission, scope)."""
    contributes = {"command": "command", "integration": "scheme", "validation-rule": "rule"}[kind]
    lines = ["schema = 1", 'id = "sample"', f'type = "{kind}"', 'minimum_host_version = "0.1"']
    lines += ["[[contributes]]", f'kind = "{contributes}"', 'name = "sample"', 'summary = "A sample"']
    for permission, scope in permissions:
        lines += [
            "[[permissions]]",
            f'permission = "{permission}"',
            f'scope = "{scope}"',
            'reason = "It must"',
        ]
    return "\n".join([*lines, ""])


def plugin_wheel(
    folder: Path,
    code: str = HONEST,
    *,
    permissions: tuple[tuple[str, str], ...] = (),
    kind: str = "command",
    extra: Mapping[str, bytes] | None = None,
    entry_points: str = ENTRY_POINTS,
    requires: tuple[str, ...] = (),
    version: str = "1.0",
    tag: str = "py3-none-any",
) -> Path:
    """Write a plugin's wheel into `folder` and return its path."""
    files = {
        f"{PACKAGE}/__init__.py": b"",
        f"{PACKAGE}/plugin.py": code.encode(),
        f"{PACKAGE}/plugin.toml": manifest(*permissions, kind=kind).encode(),
        **(extra or {}),
    }
    filename, data, _ = build_wheel(
        NAME, version, files, entry_points=entry_points, requires=requires, tag=tag
    )
    path = folder / filename
    path.write_bytes(data)
    return path
