"""From arguments to one command, and from errors to one line and an exit status."""

import os
import sys

from envcli_host.cli.main import COMMANDS, build_parser
from envcli_host.cli.output import escape_controls
from envcli_host.errors import EnvcliError

INTERRUPTED = 130
LIBRARIES = {"envcli_sdk", "envcli_sandbox", "envcli_policy", "envcli_vetting"}


def dispatch(arguments: list[str]) -> int:
    """Parse ``arguments``, run the command and return its exit status.

    0 means done; 1 a failure that one line on standard error explains; 2 a command line that was not
    understood; 130 interrupted. Commands document further codes.
    """
    try:
        return _run(arguments)
    except EnvcliError as error:
        print(f"error: {escape_controls(str(error))}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader has gone: point standard output elsewhere so that the interpreter's last flush stays silent.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        from envcli_host.failures import explain

        print(f"error: {escape_controls('. '.join(explain(error)))}", file=sys.stderr)
        return 1
    except Exception as error:
        # What our own libraries raise is a message for the user; anything else is a defect and keeps its traceback.
        if type(error).__module__.partition(".")[0] not in LIBRARIES:
            raise
        print(f"error: {escape_controls(str(error))}", file=sys.stderr)
        return 1


def _run(arguments: list[str]) -> int:
    command = arguments[0] if arguments else None
    if command is not None and command not in COMMANDS and not command.startswith("-"):
        from envcli_host.cli.contributed import run_contributed

        return run_contributed(command, tuple(arguments[1:]))
    parser = build_parser(command if command in COMMANDS else None)
    if command is None:
        parser.print_help()
        return 2
    parsed = parser.parse_args(arguments)
    status: int = parsed.func(parsed)
    return status
