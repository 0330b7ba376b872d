"""``envcli run -- COMMAND``."""

import argparse
import os
import shutil
from collections.abc import Mapping
from typing import TYPE_CHECKING

from envcli_host.environments.project import Project
from envcli_host.environments.steering import is_loader
from envcli_host.errors import EnvcliError, EnvironmentStoreError, UsageError

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]


class CommandNotFoundError(EnvcliError):
    """The command to run does not exist (exit status 127, as shells use)."""

    exit_code = 127


class CommandNotExecutableError(EnvcliError):
    """The command to run cannot be executed (exit status 126, as shells use)."""

    exit_code = 126


def add_parser(subparsers: "Subparsers") -> None:
    """Add the command of this module."""
    parser = subparsers.add_parser(
        "run",
        help="run a command with an environment's variables",
        description="Replace this process by COMMAND, with the environment's variables added to those of this process.",
    )
    parser.add_argument("-e", "--environment", metavar="NAME", help="default: the current one")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="-- COMMAND")
    parser.set_defaults(func=run_command)


def run_command(arguments: argparse.Namespace) -> int:
    """Execute the command; returns only where that fails."""
    command: list[str] = arguments.arguments
    command = command[1:] if command[:1] == ["--"] else command
    if not command:
        raise UsageError("no command to run", remedy="Write: envcli run -- COMMAND ARGUMENT ...")
    project = Project.find()
    values = project.values(arguments.environment or project.current(), os.environ)
    _verify_values(values)
    try:
        os.execve(_find(command[0], values), command, {**os.environ, **values})  # noqa: S606 - a list, no shell
    except FileNotFoundError as error:
        raise CommandNotFoundError(f"there is no command {command[0]!r}", remedy="Check PATH") from error
    except OSError as error:
        raise CommandNotExecutableError(f"{command[0]} cannot be run: {error.strerror}") from error


def _verify_values(values: Mapping[str, str]) -> None:
    """Refuse what no process can be given, and what would make any command run other code than its own."""
    for name, value in values.items():
        if "\0" in value or not name:
            raise EnvironmentStoreError(f"{name} cannot be given to a process: its value holds a NUL byte")
        if is_loader(name) and os.environ.get(name) != value:
            raise EnvironmentStoreError(
                f"the environment sets {name}, which makes every program load foreign code",
                remedy=f"If you mean it, remove it there and write: envcli run -- env {name}=VALUE COMMAND",
            )


def _find(command: str, values: Mapping[str, str]) -> str:
    """The program that the user would start without envcli; else what the environment's own PATH leads to."""
    if "/" in command:
        return command
    return shutil.which(command) or shutil.which(command, path=values.get("PATH", "")) or command
