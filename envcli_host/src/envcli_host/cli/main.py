"""Entry point of ``envcli``.

``--version`` is answered from ``sys.argv`` alone. Otherwise exactly one module is imported: that of the command
that was asked for. ``--help`` shows the table below and imports neither a command nor a plugin.
"""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

COMMANDS = {
    "init": ("environment", "create a project with named environments"),
    "set": ("environment", "set a variable; the value comes from standard input or a prompt"),
    "unset": ("environment", "remove a variable"),
    "get": ("environment", "print the value of one variable, unchanged"),
    "list": ("environment", "list the variables of an environment, secrets masked"),
    "switch": ("environment", "choose the current environment, or list all"),
    "validate": ("validate", "check environments by built-in rules and by those of plugins"),
    "sync": ("sync", "copy values between environments and secret stores"),
    "run": ("run", "run a command with an environment's variables"),
    "plugin": ("plugin", "find, install, inspect and develop plugins"),
    "index": ("index", "choose the plugin indexes to trust"),
    "audit": ("audit", "show what plugins did and what was denied"),
    "login": ("account", "store an API token (read from standard input or a prompt)"),
    "logout": ("account", "delete the stored API token"),
    "completion": ("completion", "print a completion script for a shell"),
}


def main(argv: list[str] | None = None) -> int:
    """Run ``envcli`` and return its exit status.

    Args:
        argv: arguments without the program's name; default those of the process.
    """
    arguments = sys.argv[1:] if argv is None else argv
    if arguments[:1] in (["--version"], ["-V"]):
        from envcli_host import __version__

        print(f"envcli {__version__}")
        return 0
    from envcli_host.cli.dispatch import dispatch

    return dispatch(arguments)


def build_parser(command: str | None) -> "argparse.ArgumentParser":
    """Build the parser: complete for ``command``, one help line for every other command.

    Args:
        command: a key of ``COMMANDS``, or None to describe all of them without importing any.
    """
    import argparse
    from importlib import import_module

    parser = argparse.ArgumentParser(
        prog="envcli",
        description="Manage environment variables, and extend that with verified, sandboxed plugins.",
        allow_abbrev=False,
    )
    parser.add_argument("-V", "--version", action="store_true", help="print the version and exit")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND")
    if command is None:
        for name, (_, summary) in COMMANDS.items():
            subparsers.add_parser(name, help=summary)
    else:
        import_module(f"envcli_host.cli.{COMMANDS[command][0]}").add_parser(subparsers)
    return parser


if __name__ == "__main__":
    sys.exit(main())
