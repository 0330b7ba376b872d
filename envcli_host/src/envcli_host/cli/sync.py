"""``envcli sync SOURCE DEST``: between local environments and stores that plugins reach."""

import argparse
import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING

from envcli_host.cli.announcing import SYNCHRONISED, announce
from envcli_host.cli.output import escape_controls, note, print_json, warn
from envcli_host.cli.prompts import confirm
from envcli_host.environments.project import Project
from envcli_host.environments.secrecy import MASK, shown
from envcli_host.environments.snapshots import take_snapshot
from envcli_host.environments.steering import steers_programs
from envcli_host.environments.sync import Difference, Endpoint, compare, parse_endpoint, verify_names
from envcli_host.errors import EnvcliError, UsageError

if TYPE_CHECKING:
    from envcli_host.plugins.session import PluginSession

    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]


def add_parser(subparsers: "Subparsers") -> None:
    """Add the command of this module."""
    parser = subparsers.add_parser(
        "sync",
        help="copy values between environments and secret stores",
        description="Copy the values of SOURCE to DEST. Each is the name of an environment, or SCHEME:NAME for a store "
        "that an installed plugin reaches. What DEST has in excess is kept unless --delete is given. Values that "
        "come from or go to a store are always masked.",
    )
    parser.add_argument("source", metavar="SOURCE")
    parser.add_argument("destination", metavar="DEST")
    parser.add_argument("--dry-run", action="store_true", help="show what would change and stop")
    parser.add_argument("--delete", action="store_true", help="delete from DEST what SOURCE does not have")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(func=run_sync)


def run_sync(arguments: argparse.Namespace) -> int:
    """Compare, show, ask, write."""
    source, destination = parse_endpoint(arguments.source), parse_endpoint(arguments.destination)
    if source == destination:
        raise UsageError(f"source and destination are both {source}", remedy="Name two environments")
    project = Project.find()
    with ExitStack() as stack:
        ends = _open_ends(project, (source, destination), stack)
        difference = compare(ends[0].read(), ends[1].read())
        changes = difference.changes(delete=arguments.delete)
        if source.scheme and not destination.scheme:
            _verify_harmless(changes, source)
        _show(project, source, destination, difference, arguments)
        if arguments.dry_run or not changes:
            return 0
        if not arguments.yes:
            confirm(
                f"write {len(changes)} change(s) to {destination}",
                remedy="Pass --yes, after a look with --dry-run",
            )
        ends[1].write(changes)
    note(f"{destination} now has the values of {source}")
    announce(SYNCHRONISED, _event(source, destination, difference, delete=arguments.delete), project)
    return 0


class _LocalEnd:
    """An environment of the project."""

    def __init__(self, project: Project, endpoint: Endpoint, *, stays_here: bool) -> None:
        project.verify_exists(endpoint.name)
        self._project = project
        self._name = endpoint.name
        self._stays_here = stays_here

    def read(self) -> Mapping[str, str]:
        """Its values; what leaves this machine holds nothing of the process's own variables."""
        here = self._project.values(self._name, os.environ)
        if self._stays_here:
            return here
        sent = self._project.values(self._name)
        for name in sorted(name for name, value in here.items() if sent[name] != value):
            warn(f"{self._name}: {name} refers to variables of this shell, which count as empty for a store")
        return sent

    def write(self, changes: Mapping[str, str | None]) -> None:
        take_snapshot(self._project, self._name)
        self._project.update(self._name, changes)


class _RemoteEnd:
    """An environment in a store, through a sandboxed plugin."""

    def __init__(self, session: "PluginSession", endpoint: Endpoint) -> None:
        self._session = session
        self._endpoint = endpoint

    def read(self) -> Mapping[str, str]:
        from envcli_sdk.commands import Direction, EnvironmentSync, SyncResult

        result = self._session.execute(EnvironmentSync(Direction.pull, self._endpoint.name))
        if not isinstance(result, SyncResult):
            raise EnvcliError(f"the plugin of {self._endpoint} did not answer with variables")
        values = {name: secret.value for name, secret in result.variables.items()}
        verify_names(values, str(self._endpoint))
        return values

    def write(self, changes: Mapping[str, str | None]) -> None:
        from envcli_sdk.commands import Changes, Direction, EnvironmentSync
        from envcli_sdk.secret import Secret

        wanted = Changes(
            {name: Secret(value) for name, value in changes.items() if value is not None},
            tuple(name for name, value in changes.items() if value is None),
        )
        self._session.execute(EnvironmentSync(Direction.push, self._endpoint.name, wanted))


def _open_ends(
    project: Project, endpoints: tuple[Endpoint, Endpoint], stack: ExitStack
) -> "list[_LocalEnd | _RemoteEnd]":
    sessions: dict[tuple[str, str], PluginSession] = {}
    ends: list[_LocalEnd | _RemoteEnd] = []
    for endpoint in endpoints:
        if not endpoint.scheme:
            ends.append(_LocalEnd(project, endpoint, stays_here=not any(end.scheme for end in endpoints)))
            continue
        key = (endpoint.scheme, endpoint.instance)
        if key not in sessions:
            sessions[key] = stack.enter_context(_open_session(project, endpoint))
            for line in sessions[key].warnings:
                warn(line)
        ends.append(_RemoteEnd(sessions[key], endpoint))
    return ends


def _verify_harmless(changes: Mapping[str, str | None], source: Endpoint) -> None:
    """Refuse what a store must not decide: which code the user's programs run."""
    steering = sorted(name for name, value in changes.items() if value is not None and steers_programs(name))
    if steering:
        raise EnvcliError(
            f"{source} holds {steering[0]}, which decides what code programs run",
            remedy=f"If you mean it, set it yourself first: envcli set {steering[0]}",
        )


def _open_session(project: Project, endpoint: Endpoint) -> "PluginSession":
    from envcli_host.config import HostPaths
    from envcli_host.plugins.manager import find_scheme, open_plugin

    paths = HostPaths.from_environment()
    ref = find_scheme(endpoint.scheme, paths)
    if ref is None:
        raise EnvcliError(
            f"no installed plugin provides {endpoint.scheme}:",
            remedy=f"Run: envcli plugin search {endpoint.scheme}",
        )
    return open_plugin(ref, endpoint.instance, project=project, paths=paths)


def _show(
    project: Project,
    source: Endpoint,
    destination: Endpoint,
    difference: Difference,
    arguments: argparse.Namespace,
) -> None:
    hide_all = bool(source.scheme or destination.scheme)

    def mask(name: str, value: str) -> str:
        return MASK if hide_all else shown(name, value, project.config.secrets)

    if arguments.json:
        print_json(_document(source, destination, difference, mask, delete=arguments.delete))
        return
    lines = [f"+ {name}={mask(name, value)}" for name, value in difference.added.items()]
    for name, (before, after) in difference.changed.items():
        lines.append(f"~ {name}: {mask(name, before)} -> {mask(name, after)}")
    sign = "-" if arguments.delete else "="
    lines += [f"{sign} {name} (only in {destination})" for name in difference.surplus]
    for line in lines or [f"{source} and {destination} have the same values"]:
        print(escape_controls(line))


def _event(
    source: Endpoint, destination: Endpoint, difference: Difference, *, delete: bool
) -> dict[str, object]:
    remote = source if source.scheme else destination if destination.scheme else None
    return {
        "source": str(source),
        "destination": str(destination),
        "remote": "" if remote is None else str(remote),
        "added": len(difference.added),
        "changed": len(difference.changed),
        "deleted": len(difference.surplus) if delete else 0,
    }


def _document(
    source: Endpoint,
    destination: Endpoint,
    difference: Difference,
    mask: Callable[[str, str], str],
    *,
    delete: bool,
) -> dict[str, object]:
    return {
        "source": str(source),
        "destination": str(destination),
        "added": {name: mask(name, value) for name, value in difference.added.items()},
        "changed": {
            name: {"before": mask(name, before), "after": mask(name, after)}
            for name, (before, after) in difference.changed.items()
        },
        "surplus": sorted(difference.surplus),
        "deletes": sorted(difference.surplus) if delete else [],
    }
