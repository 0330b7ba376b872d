"""The door to plugins for the rest of the host: find what contributes something, open it, call it.

Nothing here imports plugin code. Typical use::

    ref = find_scheme("aws-sm", paths)
    with open_plugin(ref, "default", project=project, paths=paths) as session:
        result = session.execute(EnvironmentSync(Direction.pull, remote="prod"))
"""

from dataclasses import dataclass
from enum import StrEnum

from envcli_host.config import HostPaths
from envcli_host.plugins.access import ProjectAccess
from envcli_host.plugins.session import PluginSession


class Origin(StrEnum):
    """Where a plugin came from, which decides how far it is believed."""

    INDEX = "index"
    LINKED = "linked"
    POINTER = "pointer"


@dataclass(frozen=True, slots=True)
class PluginRef:
    """A plugin that contributes what was looked for.

    Attributes:
        project: normalized name of the distribution.
        version: installed version.
        id: short name from its manifest.
        origin: a verified install, a linked folder, or a distribution that plain pip put beside the host.
        names: names of its contributions of the kind that was looked for.
    """

    project: str
    version: str
    id: str
    origin: Origin
    names: tuple[str, ...]


def find_scheme(name: str, paths: HostPaths) -> PluginRef | None:
    """The plugin that contributes the scheme ``name`` (as in ``aws-sm:prod``), or None."""
    raise NotImplementedError


def find_command(name: str, paths: HostPaths, kind: str = "command") -> PluginRef | None:
    """The plugin that contributes a ``command``, ``workflow`` or ``report`` of that name, or None."""
    raise NotImplementedError


def rules(paths: HostPaths) -> list[PluginRef]:
    """Plugins that contribute validation rules; ``names`` are the rules' ids."""
    raise NotImplementedError


def open_plugin(
    ref: PluginRef, instance: str = "default", *, project: ProjectAccess | None, paths: HostPaths
) -> PluginSession:
    """Check, start and initialize a plugin; use the session as a context manager.

    In order: takedowns and freshness, the tree is unchanged since install, configuration and grants of the
    instance, sandbox, ``initialize``.

    Args:
        ref: from one of the functions above.
        instance: name of the configured instance.
        project: the project whose environments the plugin may ask for, or None.
        paths: the host's directories.

    Raises:
        EnvcliError: it may not run; the message names cause and remedy. Everything is in the audit log.
    """
    raise NotImplementedError
