"""Commands that installed plugins contribute: ``envcli NAME ...`` where NAME is none of envcli's own."""

import difflib

from envcli_sdk.commands import CommandResult, CustomCommand

from envcli_host.cli.main import COMMANDS
from envcli_host.cli.output import escape_controls, warn
from envcli_host.config import HostPaths
from envcli_host.environments.project import Project
from envcli_host.errors import EnvcliError, EnvironmentStoreError, UsageError
from envcli_host.plugins.manager import PluginRef, find_command, open_plugin

KINDS = ("command", "workflow", "report")


def run_contributed(name: str, words: tuple[str, ...]) -> int:
    """Run a plugin's command, workflow or report and return the exit status it asks for.

    Raises:
        UsageError: nothing of that name exists.
        EnvcliError: the plugin may not run or failed.
    """
    paths = HostPaths.from_environment()
    kind, ref = _find(name, paths)
    with open_plugin(ref, project=_project(), paths=paths) as session:
        for line in session.warnings:
            warn(line)
        result = session.execute(CustomCommand(name, words, kind))
    if not isinstance(result, CommandResult):
        raise EnvcliError(
            f"plugin {ref.id} did not answer as a {kind} does", remedy="Report it to its publisher"
        )
    if result.output:
        print("\n".join(escape_controls(line) for line in result.output.splitlines()))
    return result.exit_code


def _find(name: str, paths: HostPaths) -> tuple[str, PluginRef]:
    for kind in KINDS:
        ref = find_command(name, paths, kind)
        if ref is not None:
            return kind, ref
    close = difflib.get_close_matches(name, COMMANDS, n=1)
    remedy = f"Did you mean: envcli {close[0]}" if close else "Run: envcli --help"
    raise UsageError(f"neither envcli nor an installed plugin has a command {name!r}", remedy=remedy)


def _project() -> Project | None:
    try:
        return Project.find()
    except EnvironmentStoreError:
        return None
