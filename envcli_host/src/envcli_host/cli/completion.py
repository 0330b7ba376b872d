"""``envcli completion SHELL``."""

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

SHELLS = ("bash", "zsh", "tcsh")


def add_parser(subparsers: "Subparsers") -> None:
    """Add the command of this module."""
    parser = subparsers.add_parser("completion", help="print a completion script for a shell")
    parser.add_argument("shell", choices=SHELLS)
    parser.set_defaults(func=run_completion)


def run_completion(arguments: argparse.Namespace) -> int:
    """Print the script; load it for example with ``eval "$(envcli completion bash)"``."""
    import shtab

    print(shtab.complete(_whole_parser(), shell=arguments.shell))
    return 0


def _whole_parser() -> argparse.ArgumentParser:
    from importlib import import_module

    from envcli_host.cli.main import COMMANDS

    parser = argparse.ArgumentParser(prog="envcli")
    parser.add_argument("-V", "--version", action="store_true", help="print the version and exit")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND")
    for module in dict.fromkeys(module for module, _ in COMMANDS.values()):
        import_module(f"envcli_host.cli.{module}").add_parser(subparsers)
    return parser
