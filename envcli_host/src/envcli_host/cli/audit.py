"""``envcli audit show``."""

import argparse
from typing import TYPE_CHECKING, Any

from envcli_host.cli.output import escape_controls, print_json
from envcli_host.config import HostPaths

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

LEADING = ("time", "event", "plugin", "version")
DEFAULT_LINES = 50
QUIET = {*LEADING, "user", "session"}


def add_parser(subparsers: "Subparsers") -> None:
    """Add the commands of this module."""
    group = subparsers.add_parser("audit", help="show what plugins did and what was denied")
    group.set_defaults(func=run_show, plugin=None, event=None, denied=False, lines=DEFAULT_LINES, json=False)
    verbs = group.add_subparsers(dest="verb", metavar="VERB")
    show = verbs.add_parser(
        "show", help="print the newest events of the audit log, oldest first (the default)"
    )
    show.add_argument("--plugin", metavar="ID", help="only this plugin")
    show.add_argument("--event", metavar="NAME", help="only events whose name begins so, for example network")
    show.add_argument("--denied", action="store_true", help="only what was denied or refused")
    show.add_argument(
        "-n", "--lines", type=int, default=DEFAULT_LINES, metavar="N", help="at most so many; 0 = all"
    )
    show.add_argument("--json", action="store_true", help="print JSON")
    show.set_defaults(func=run_show)


def run_show(arguments: argparse.Namespace) -> int:
    """Print matching events."""
    from collections import deque

    from envcli_host.audit import read_events

    matching = (
        event
        for event in read_events(HostPaths.from_environment().audit_file)
        if _is_wanted(event, arguments)
    )
    events = list(deque(matching, maxlen=arguments.lines or None))
    if arguments.json:
        print_json(events)
        return 0
    for event in events:
        print(_line(event))
    return 0


def _is_wanted(event: dict[str, Any], arguments: argparse.Namespace) -> bool:
    if arguments.plugin and event.get("plugin") != arguments.plugin:
        return False
    if arguments.event and not str(event.get("event", "")).startswith(arguments.event):
        return False
    return not arguments.denied or _is_denial(event)


def _is_denial(event: dict[str, Any]) -> bool:
    if event.get("allowed") is False or event.get("verdict") in {"denied", "refused"}:
        return True
    return (
        "denied" in event or "refused" in event or str(event.get("event", "")).endswith(("denied", "refused"))
    )


def _line(event: dict[str, Any]) -> str:
    head = " ".join(str(event.get(key, "-")) for key in LEADING)
    rest = " ".join(f"{key}={event[key]}" for key in event if key not in QUIET)
    return escape_controls(f"{head} {rest}".rstrip())
