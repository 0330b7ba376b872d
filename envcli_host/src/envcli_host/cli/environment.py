"""``envcli init | set | unset | get | list | switch``."""

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from envcli_host.cli.announcing import CHANGED, SWITCHED, announce
from envcli_host.cli.output import escape_controls, print_json
from envcli_host.environments.project import DEFAULT_ENVIRONMENTS, Project
from envcli_host.environments.secrecy import is_secret, shown
from envcli_host.errors import EnvironmentStoreError, UsageError

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]


def add_parser(subparsers: "Subparsers") -> None:
    """Add the commands of this module."""
    init = subparsers.add_parser("init", help="create a project with named environments")
    init.add_argument("--environments", default=",".join(DEFAULT_ENVIRONMENTS), metavar="NAME,...")
    init.add_argument("--force", action="store_true", help="write config.toml anew; values are kept")
    init.add_argument("--json", action="store_true")
    init.set_defaults(func=run_init)
    _add_writers(subparsers)
    _add_readers(subparsers)


def _add_writers(subparsers: "Subparsers") -> None:
    set_ = subparsers.add_parser(
        "set",
        help="set variables",
        description="Set variables. NAME alone reads the value from standard input or asks for it unseen; "
        "NAME=VALUE is visible to other users of this machine while the command runs, and in the shell's history.",
    )
    set_.add_argument("variables", nargs="+", metavar="NAME[=VALUE]")
    _add_environment(set_)
    set_.set_defaults(func=run_set)
    unset = subparsers.add_parser("unset", help="remove variables")
    unset.add_argument("names", nargs="+", metavar="NAME")
    _add_environment(unset)
    unset.set_defaults(func=run_unset)


def _add_readers(subparsers: "Subparsers") -> None:
    get = subparsers.add_parser(
        "get",
        help="print one value",
        description="Print one value exactly; a line end is added at a terminal only.",
    )
    get.add_argument("name", metavar="NAME")
    _add_environment(get)
    get.set_defaults(func=run_get)
    list_ = subparsers.add_parser("list", help="list variables, secrets masked")
    list_.add_argument("--reveal", action="store_true", help="show secrets as well")
    _add_environment(list_)
    list_.set_defaults(func=run_list)
    switch = subparsers.add_parser("switch", help="choose the current environment, or list all")
    switch.add_argument("name", nargs="?", metavar="NAME")
    switch.add_argument("--create", action="store_true", help="create the environment first")
    switch.add_argument(
        "--inherits", metavar="NAME", help="with --create: start from this environment's values"
    )
    switch.add_argument("--json", action="store_true")
    switch.set_defaults(func=run_switch)


def run_init(arguments: argparse.Namespace) -> int:
    """Create ``.envcli`` in the working directory."""
    names = tuple(name.strip() for name in arguments.environments.split(",") if name.strip())
    if not names:
        raise UsageError("--environments names none", remedy="Write --environments dev,prod")
    project = Project.create(Path.cwd(), names, force=arguments.force)
    if arguments.json:
        print_json(
            {
                "project": str(project.root),
                "environments": project.environments(),
                "current": project.current(),
            }
        )
    else:
        print(
            f"created {escape_controls(str(project.folder))} with {', '.join(names)}; current: {project.current()}"
        )
    return 0


def run_set(arguments: argparse.Namespace) -> int:
    """Set variables in one environment, keeping comments and order."""
    project, environment = _chosen(arguments)
    changes = dict(_variable(text) for text in arguments.variables)
    project.update(environment, changes)
    announce(CHANGED, {"environment": environment, "set": sorted(changes), "removed": []}, project)
    _report(
        arguments,
        {"environment": environment, "set": sorted(changes)},
        f"set {', '.join(changes)} in {environment}",
    )
    return 0


def run_unset(arguments: argparse.Namespace) -> int:
    """Remove variables from one environment's own file."""
    project, environment = _chosen(arguments)
    present = {assignment.name for assignment in project.read(environment).assignments}
    for name in arguments.names:
        if name not in present:
            raise EnvironmentStoreError(
                f"{environment} itself sets no {name}", remedy="It may be inherited; see: envcli list --json"
            )
    project.update(environment, dict.fromkeys(arguments.names))
    announce(CHANGED, {"environment": environment, "set": [], "removed": sorted(arguments.names)}, project)
    _report(
        arguments,
        {"environment": environment, "unset": sorted(arguments.names)},
        f"removed {', '.join(arguments.names)} from {environment}",
    )
    return 0


def run_get(arguments: argparse.Namespace) -> int:
    """Print one value."""
    project, environment = _chosen(arguments)
    values = project.values(environment, os.environ)
    if arguments.name not in values:
        raise EnvironmentStoreError(
            f"{environment} has no {arguments.name}", remedy=f"Run: envcli set {arguments.name}"
        )
    value = values[arguments.name]
    if arguments.json:
        print_json({"environment": environment, "name": arguments.name, "value": value})
        return 0
    sys.stdout.flush()
    sys.stdout.buffer.write(value.encode() + (b"\n" if sys.stdout.isatty() else b""))
    sys.stdout.buffer.flush()
    return 0


def run_list(arguments: argparse.Namespace) -> int:
    """List the variables of an environment, inherited ones included."""
    project, environment = _chosen(arguments)
    values, patterns = project.values(environment, os.environ), project.config.secrets
    own = {assignment.name for assignment in project.read(environment).assignments}
    rows = [
        {
            "name": name,
            "value": value if arguments.reveal else shown(name, value, patterns),
            "secret": is_secret(name, value, patterns),
            "inherited": name not in own,
        }
        for name, value in sorted(values.items())
    ]
    if arguments.json:
        print_json({"environment": environment, "variables": rows})
        return 0
    for row in rows:
        print(f"{row['name']}={escape_controls(str(row['value']))}")
    return 0


def run_switch(arguments: argparse.Namespace) -> int:
    """Make an environment the current one, or list all of them."""
    project = Project.find()
    if arguments.inherits and not arguments.create:
        raise UsageError(
            "--inherits needs --create", remedy="An existing environment's parent stands in config.toml"
        )
    if arguments.name is not None:
        if arguments.create:
            project.create_environment(arguments.name, arguments.inherits)
        else:
            project.switch(arguments.name)
        announce(SWITCHED, {"environment": arguments.name}, project)
        _report(arguments, {"current": arguments.name}, f"current: {arguments.name}")
        return 0
    names, current = project.environments(), project.chosen()
    if arguments.json:
        print_json({"environments": names, "current": current})
    else:
        print("\n".join(f"{'*' if name == current else ' '} {name}" for name in names))
    return 0


def _add_environment(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-e", "--environment", metavar="NAME", help="default: the current one")
    parser.add_argument("--json", action="store_true", help="print JSON")


def _chosen(arguments: argparse.Namespace) -> tuple[Project, str]:
    project = Project.find()
    environment = arguments.environment or project.current()
    project.verify_exists(environment)
    return project, environment


def _variable(text: str) -> tuple[str, str]:
    from envcli_host.cli.prompts import read_secret
    from envcli_host.environments.grammar import verify_name

    name, given, value = text.partition("=")
    verify_name(name)
    value = value if given else read_secret(name, f"Pipe the value in, or write {name}= for an empty one")
    if "\0" in value:
        raise EnvironmentStoreError(
            f"the value of {name} holds a NUL byte", remedy="No process can be given one"
        )
    return name, value


def _report(arguments: argparse.Namespace, document: dict[str, object], line: str) -> None:
    if arguments.json:
        print_json(document)
    else:
        print(line)
