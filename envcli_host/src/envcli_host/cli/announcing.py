"""Tells plugins that asked for it what a command has done. Names and counts only, never a value."""

from collections.abc import Mapping
from typing import Any

from envcli_host.cli.output import warn
from envcli_host.config import HostPaths
from envcli_host.environments.project import Project

SWITCHED = "environment.switched/1"
CHANGED = "environment.changed/1"
SYNCHRONISED = "sync.completed/1"
VALIDATED = "validation.completed/1"


def announce(name: str, data: Mapping[str, Any], project: Project) -> None:
    """Deliver an event to the plugins that contribute it; one that fails is a warning, for it has happened.

    Args:
        name: one of the constants of this module.
        data: JSON object of names and counts.
        project: where it happened.
    """
    paths = HostPaths.from_environment()
    if not paths.registry_file.exists():
        return
    from envcli_sdk.commands import Event

    from envcli_host.plugins.events import publish

    for line in publish(Event(name, data), paths, project):
        warn(line)
