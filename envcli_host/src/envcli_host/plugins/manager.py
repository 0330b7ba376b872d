"""The door to plugins for the rest of the host: find what contributes something, open it, call it.

Nothing here imports plugin code. Typical use::

    ref = find_scheme("aws-sm", paths)
    with open_plugin(ref, "default", project=project, paths=paths) as session:
        result = session.execute(EnvironmentSync(Direction.pull, remote="prod"))
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from envcli_host.config import HostPaths
from envcli_host.errors import EnvcliError
from envcli_host.plugins.access import ProjectAccess
from envcli_host.plugins.registry import Origin, Registry

if TYPE_CHECKING:
    from envcli_host.plugins.session import PluginSession

__all__ = ["Origin", "PluginRef", "contributors", "find_command", "find_scheme", "open_plugin", "rules"]


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
    return _find("scheme", name, paths)


def find_command(name: str, paths: HostPaths, kind: str = "command") -> PluginRef | None:
    """The plugin that contributes a ``command``, ``workflow`` or ``report`` of that name, or None."""
    return _find(kind, name, paths)


def rules(paths: HostPaths) -> list[PluginRef]:
    """Plugins that contribute validation rules; ``names`` are the rules' ids."""
    return contributors("rule", paths)


def contributors(kind: str, paths: HostPaths) -> list[PluginRef]:
    """Installed plugins that contribute something of one kind; what only pip installed is not among them."""
    found = Registry.load(paths).contributors(kind)
    return [PluginRef(item.project, item.version, item.id, item.origin, item.names(kind)) for item in found]


def open_plugin(
    ref: PluginRef, instance: str = "default", *, project: ProjectAccess | None, paths: HostPaths
) -> "PluginSession":
    """Check, start and initialize a plugin; use the session as a context manager.

    In order: takedowns and freshness, the tree is unchanged since install, configuration and grants of the
    instance, sandbox, ``initialize``. A plugin that only pip installed is first fetched, verified and installed
    into the host's own store, after consent at a terminal; the copy that pip installed is never run.

    Args:
        ref: from one of the functions above.
        instance: name of the configured instance.
        project: the project whose environments the plugin may ask for, or None.
        paths: the host's directories.

    Raises:
        EnvcliError: it may not run; the message names cause and remedy. Everything is in the audit log.
    """
    from envcli_host.plugins.starting import start

    if ref.origin is Origin.POINTER:
        from envcli_host.plugins.lifecycle import adopt

        adopt(ref.project, ref.version, project, paths)
    record = Registry.load(paths).find(ref.project)
    if not {*ref.names} <= {name for _, name, _ in record.contributes}:
        raise EnvcliError(
            f"the verified {record.project} does not contribute {', '.join(ref.names)}; its copy beside envcli lied",
            remedy=f"Run: pip uninstall {record.project}",
        )
    return start(record, instance, project, paths)


def _find(kind: str, name: str, paths: HostPaths) -> PluginRef | None:
    for ref in contributors(kind, paths):
        if name in ref.names:
            return ref
    from envcli_host.plugins.discovery import find_pointers

    for pointer in find_pointers(paths):
        names = tuple(item for found, item in pointer.contributes if found == kind)
        if name in names:
            return PluginRef(pointer.project, pointer.version, pointer.id, Origin.POINTER, names)
    return None
