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


def read_secret(label: str, empty: str = "Type it at a terminal, or pipe it in") -> str:
    """Return one value: typed unseen at a terminal, or all of standard input without its last line end.

    Args:
        label: what is asked for.
        empty: the remedy where standard input is no terminal and holds nothing at all.

    Raises:
        UsageError: standard input holds nothing.
        EnvcliError: it is no text.
    """
    if sys.stdin.isatty():
        import getpass

        return getpass.getpass(f"{label}: ")
    text = sys.stdin.buffer.read().decode("utf-8", "surrogateescape")
    if not text:
        raise UsageError(f"standard input holds no value for {label}", remedy=empty)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise EnvcliError(
            f"the value of {label} is not UTF-8", remedy="Encode binary data, for example as Base64"
        ) from error
    return text.removesuffix("\n").removesuffix("\r")
