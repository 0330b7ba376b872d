"""``envcli login | logout``."""

import argparse
from typing import TYPE_CHECKING

from envcli_host.cli.output import escape_controls, print_json
from envcli_host.config import HostPaths

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]


def add_parser(subparsers: "Subparsers") -> None:
    """Add the commands of this module."""
    login = subparsers.add_parser(
        "login",
        help="store an API token",
        description="Store an API token (file mode 0600), read from standard input or typed unseen. "
        "ENVCLI_TOKEN takes precedence over the stored one.",
    )
    login.add_argument("--json", action="store_true")
    login.set_defaults(func=run_login)
    logout = subparsers.add_parser("logout", help="delete the stored API token")
    logout.add_argument("--json", action="store_true")
    logout.set_defaults(func=run_logout)


def run_login(arguments: argparse.Namespace) -> int:
    """Read and keep a token."""
    from envcli_host.cli.prompts import read_secret
    from envcli_host.marketplace.account import store_token

    issuer = store_token(read_secret("API token").strip(), HostPaths.from_environment())
    if arguments.json:
        print_json({"stored": True, "issuer": issuer})
    else:
        print(f"token stored; it is shown to {escape_controls(issuer)} and its index only")
    return 0


def run_logout(arguments: argparse.Namespace) -> int:
    """Forget the token."""
    from envcli_host.marketplace.account import forget_token

    deleted = forget_token(HostPaths.from_environment())
    if arguments.json:
        print_json({"deleted": deleted})
    else:
        print("token deleted" if deleted else "there was no stored token")
    return 0
