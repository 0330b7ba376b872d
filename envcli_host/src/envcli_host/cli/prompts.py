"""Questions to the person at the terminal; without one, a decision must stand on the command line."""

import sys

from envcli_host.errors import EnvcliError, UsageError


def confirm(question: str, *, remedy: str) -> None:
    """Ask a yes/no question; anything but "y" or "yes" ends the command.

    Args:
        question: without the final question mark.
        remedy: what to pass where nobody can be asked.

    Raises:
        UsageError: standard input is no terminal.
        EnvcliError: the answer is no.
    """
    if not sys.stdin.isatty():
        raise UsageError(f"nobody can be asked: {question}?", remedy=remedy)
    print(f"{question}? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise EnvcliError("nothing was changed, as you answered no")


def read_secret(label: str) -> str:
    """Return one value: typed unseen at a terminal, or all of standard input without its last line end."""
    if sys.stdin.isatty():
        import getpass

        return getpass.getpass(f"{label}: ")
    text = sys.stdin.buffer.read().decode("utf-8", "surrogateescape")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise EnvcliError(
            f"the value of {label} is not UTF-8", remedy="Encode binary data, for example as Base64"
        ) from error
    return text.removesuffix("\n").removesuffix("\r")
