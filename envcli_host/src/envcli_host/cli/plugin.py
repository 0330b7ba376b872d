"""``envcli plugin …``: one parser for all verbs; what a verb does is imported when it runs."""

import argparse
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

RISKS = ("low", "medium", "high", "critical")


class VerbParser(argparse.ArgumentParser):
    """A parser that can take words before and behind options alike, where ``takes_words_anywhere`` is set."""

    takes_words_anywhere = False

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse; argparse's intermixed mode calls this again, in the usual mode."""
        if not self.takes_words_anywhere:
            return super().parse_known_args(args, namespace)
        self.takes_words_anywhere = False
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self.takes_words_anywhere = True


def add_parser(subparsers: "Subparsers") -> None:
    """Add the group and its verbs."""
    from envcli_host.cli import plugin_catalog, workshop

    parser = subparsers.add_parser("plugin", help="find, install, inspect and develop plugins")
    verbs: Subparsers = parser.add_subparsers(
        dest="verb", metavar="VERB", required=True, parser_class=VerbParser
    )
    plugin_catalog.add_verbs(verbs)
    _add_install(verbs)
    _add_manage(verbs)
    _add_check(verbs)
    _add_dev(verbs)
    workshop.add_verbs(verbs)


def _add_install(verbs: "Subparsers") -> None:
    install = _verb(verbs, "install", "plugin_install:run_install", "verify a plugin and install it")
    install.add_argument("plugin", metavar="NAME[==VERSION]")
    install.add_argument("--index", metavar="INDEX", help="only this index")
    install.add_argument("--reinstall", action="store_true", help="also when this version is installed")
    _add_consent(install)
    dev = _verb(
        verbs,
        "dev",
        "plugin_install:run_dev",
        "link a plugin's folder: unverified, strict policy, still sandboxed",
        aliases=["link"],
    )
    dev.add_argument("folder", metavar="PATH", help="holds pyproject.toml")
    dev.add_argument(
        "--fetch", action="store_true", help="install its dependencies (wheels only, unverified)"
    )
    _add_consent(dev)


def _add_manage(verbs: "Subparsers") -> None:
    _verb(verbs, "list", "plugin_manage:run_list", "list installed plugins")
    remove = _verb(verbs, "remove", "plugin_manage:run_remove", "remove a plugin, its grants and its secrets")
    remove.add_argument("plugin", metavar="NAME")
    permissions = _verb(
        verbs, "permissions", "plugin_manage:run_permissions", "show what a plugin asks for and was granted"
    )
    permissions.add_argument("plugin", metavar="NAME")
    permissions.add_argument("--instance", default="default", help="a configured instance")
    change = permissions.add_mutually_exclusive_group()
    change.add_argument("--grant", action="store_true", help="ask for what is not granted")
    change.add_argument(
        "--revoke", metavar="PERMISSION", help="take a permission back, for example network:connect"
    )
    _add_consent(permissions)


def _add_check(verbs: "Subparsers") -> None:
    verify = _verb(
        verbs, "verify", "plugin_check:run_verify", "compare installed plugins with what was signed"
    )
    verify.add_argument("plugins", metavar="NAME", nargs="*", help="default: all")
    _verb(verbs, "doctor", "plugin_check:run_doctor", "look for what is wrong with this host")


def _add_dev(verbs: "Subparsers") -> None:
    configure = _verb(
        verbs,
        "configure",
        "plugin_configure:run_configure",
        "set a plugin's configuration; without values, show it",
    )
    configure.add_argument("plugin", metavar="NAME")
    configure.add_argument("values", metavar="FIELD=VALUE", nargs="*")
    configure.add_argument("--instance", default="default", help="a configured instance")
    configure.add_argument(
        "--secret", metavar="FIELD", help="read this secret from a prompt, or from standard input"
    )
    configure.add_argument(
        "--secret-from",
        metavar="FIELD=ENVIRONMENT:NAME",
        action="append",
        default=[],
        help="take a secret from a variable of a named environment, whenever it is needed",
    )
    configure.add_argument("--unset", metavar="FIELD", action="append", default=[], help="forget a value")
    _add_consent(configure)


def _verb(
    verbs: "Subparsers", name: str, target: str, text: str, aliases: list[str] | None = None
) -> argparse.ArgumentParser:
    parser = verbs.add_parser(name, help=text, description=text, aliases=aliases or [])
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(func=_lazily(target))
    if isinstance(parser, VerbParser):
        parser.takes_words_anywhere = True
    return parser


def _add_consent(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--yes", action="store_true", help="agree without asking, up to --allow-risk")
    parser.add_argument(
        "--allow-risk", choices=RISKS, default=None, metavar="TIER", help=f"with --yes: {', '.join(RISKS)}"
    )


def _lazily(target: str) -> Callable[[argparse.Namespace], int]:
    module, _, function = target.partition(":")

    def run(arguments: argparse.Namespace) -> int:
        status: int = getattr(import_module(f"envcli_host.cli.{module}"), function)(arguments)
        return status

    return run
