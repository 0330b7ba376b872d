"""Telling plugins what happened, after it happened: each in its own sandbox, none able to hold up the host."""

from envcli_sdk.commands import Event

from envcli_host.config import HostPaths
from envcli_host.errors import EnvcliError
from envcli_host.plugins.access import ProjectAccess
from envcli_host.plugins.registry import Registry

TIMEOUT_SECONDS = 5.0


def publish(event: Event, paths: HostPaths, project: ProjectAccess | None) -> tuple[str, ...]:
    """Deliver an event to every plugin whose manifest contributes it.

    Args:
        event: what happened; ``data`` holds names and counts, never a value of a variable.
        paths: the host's directories.
        project: where it happened, or None.

    Returns:
        One line for each plugin that failed; the event has happened all the same.
    """
    subscribers = [r for r in Registry.load(paths).contributors("event") if event.name in r.names("event")]
    if not subscribers:
        return ()
    from envcli_host.plugins.starting import start

    failures = []
    for record in subscribers:
        try:
            with start(record, "default", project, paths) as session:
                session.handle_event(event, TIMEOUT_SECONDS)
        except EnvcliError as error:
            failures.append(f"plugin {record.id} did not take {event.name}: {error.message}")
    return tuple(failures)
