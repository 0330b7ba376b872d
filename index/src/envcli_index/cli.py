"""``envcli-index``: makes and runs an index, and gives its administrator and reviewers their tools.

Modules are imported on use: a reviewer's command starts without devpi, a server without the tools.
"""

import argparse
import json
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from envcli_index import __doc__ as description
from envcli_index import cli_trust
from envcli_index.errors import IndexServiceError

EXIT_FAILURE = 1
_SERVERS = ("devpi", "serve", "authority", "log")
_PROCESSES = ("timestamp", "gate", "worker")
_URLS = ("public-url", "devpi-url", "authority-url", "log-url", "web-url")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status: 0 good, 1 an error with its remedy on stderr, 2 wrong
    usage.
    """
    from envcli_policy.errors import PolicyError

    from envcli_index.trust.errors import TrustError

    arguments = build_parser().parse_args(argv)
    try:
        return int(arguments.run(arguments) or 0)
    except (IndexServiceError, PolicyError, TrustError) as error:
        print(f"error: {error}", file=sys.stderr)
    except OSError as error:
        print(f"error: {error.filename or 'input/output'}: {error.strerror or error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
    return EXIT_FAILURE


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of every command."""
    parser = argparse.ArgumentParser(prog="envcli-index", description=description)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_init(commands)
    for name in _SERVERS:
        command = _add(commands, name, f"run the {name} process", _serve)
        command.set_defaults(process=name)
        command.add_argument("--host", default="127.0.0.1", help="address to listen on")
        command.add_argument("--port", type=int, required=True, help="TCP port")
    for name in _PROCESSES:
        _add(commands, name, f"run the {name} process", _serve).set_defaults(process=name)
    _add_reviewer(commands)
    _add_enrol(commands, "enrol")
    _add_decide(commands)
    _add_takedown(commands)
    _add_administration(commands)
    cli_trust.add_commands(commands)
    return parser


def _add(
    commands: Any, name: str, text: str, run: Callable[..., Any], *, data: bool = True
) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    if data:
        command.add_argument(
            "--data", type=Path, required=True, metavar="DIR", help="data directory of the index"
        )
    command.set_defaults(run=run)
    return command


def _add_init(commands: Any) -> None:
    command = _add(commands, "init", "make a new index, or complete an interrupted init", _init)
    for name in _URLS:
        command.add_argument(f"--{name}", required=True, metavar="URL")
    command.add_argument("--upstream-index", metavar="URL", help="simple index of third-party dependencies")
    command.add_argument(
        "--first-party", type=Path, metavar="DIR", help="wheels such as envcli-sdk and pluggy"
    )
    command.add_argument("--database-url", default="", metavar="URL", help="PostgreSQL instead of SQLite")
    command.add_argument("--osv-url", default="", metavar="URL", help="OSV query address instead of our own")
    command.add_argument("--json", action="store_true", help="machine-readable output")


def _add_reviewer(commands: Any) -> None:
    verbs = commands.add_parser("reviewer", help="reviewers' keys").add_subparsers(
        required=True, metavar="VERB"
    )
    keygen = _add(verbs, "keygen", "make a key pair on the reviewer's own machine", _keygen, data=False)
    keygen.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help="private key; FILE.pub is the public one"
    )
    _add_enrol(verbs, "enrol")
    _add_retire(verbs)


def _add_enrol(commands: Any, name: str) -> None:
    command = _add(commands, name, "accept a reviewer's public key", _enrol)
    command.add_argument("--name", required=True, help="how the person is called in verdicts")
    command.add_argument("--public", type=Path, required=True, metavar="FILE", help="public key, PEM")
    command.add_argument("--role", choices=("reviewer", "admin"), default="reviewer")
    command.add_argument(
        "--publisher",
        action="append",
        default=[],
        metavar="UUID",
        help="a publisher that the person belongs to and so cannot judge; repeatable",
    )


def _add_retire(commands: Any) -> None:
    command = _add(commands, "retire", "accept nothing more that a reviewer's key signs", _retire)
    command.add_argument("keyid", metavar="KEYID", help="as enrol printed it")


def _add_signing(command: argparse.ArgumentParser) -> None:
    command.add_argument("--server", required=True, metavar="URL", help="the public index or its write path")
    command.add_argument("--key", type=Path, required=True, metavar="FILE", help="the reviewer's private key")
    command.add_argument("--reason", required=True, help="why; it is published")


def _add_decide(commands: Any) -> None:
    command = _add(commands, "decide", "approve or reject a release, signed", _decide, data=False)
    command.add_argument("release", metavar="NAME==VERSION")
    _add_signing(command)
    choice = command.add_mutually_exclusive_group(required=True)
    choice.add_argument("--approve", action="store_true")
    choice.add_argument("--reject", action="store_true")
    command.add_argument(
        "--rule", action="append", default=[], metavar="ID", help="rule of an observation judged"
    )


def _add_takedown(commands: Any) -> None:
    command = _add(commands, "takedown", "take releases out of users' hands, signed", _takedown, data=False)
    command.add_argument("release", metavar="NAME[==VERSION]")
    _add_signing(command)
    command.add_argument("--severity", choices=("low", "medium", "high", "critical"), default="high")
    command.add_argument("--advisory", metavar="ID")
    command.add_argument("--remove", action="store_true", help="for good instead of quarantine")


def _add_administration(commands: Any) -> None:
    listing = _add(commands, "list", "list releases and where they stand", _list)
    listing.add_argument("--state", action="append", default=[], help="only releases in this state")
    doctor = _add(commands, "doctor", "look for what is wrong with an index", _doctor)
    verify = _add(
        commands, "verify-tree", "compare the public tree with database and trust metadata", _verify_tree
    )
    rebuild = _add(commands, "rebuild", "render every page of the public tree anew", _rebuild)
    verbs = commands.add_parser("deps", help="curated dependencies").add_subparsers(
        required=True, metavar="VERB"
    )
    add = _add(verbs, "add", "admit dependency wheels on the administrator's word", _deps_add)
    add.add_argument("wheels", type=Path, nargs="+", metavar="WHEEL")
    for command in (listing, doctor, verify, rebuild, add):
        command.add_argument("--json", action="store_true", help="machine-readable output")


def _init(arguments: argparse.Namespace) -> int:
    from envcli_index.config import IndexConfig
    from envcli_index.setup import initialise

    config = IndexConfig(
        data=arguments.data.absolute(),
        public_url=arguments.public_url.rstrip("/"),
        devpi_url=arguments.devpi_url.rstrip("/"),
        authority_url=arguments.authority_url.rstrip("/"),
        log_url=arguments.log_url.rstrip("/"),
        web_url=arguments.web_url.rstrip("/"),
        upstream_index=arguments.upstream_index,
        first_party=arguments.data.absolute() / "first-party" if arguments.first_party else None,
        database_url=arguments.database_url,
        osv_url=arguments.osv_url,
    )
    root_sha256 = initialise(config, arguments.first_party)
    _show(
        arguments,
        {"data": str(config.data), "root_sha256": root_sha256, "public_url": config.public_url},
        f"index made in {config.data}; pin it with:\n"
        f"  envcli index add {config.public_url} --root-sha256 {root_sha256}",
    )
    return 0


def _serve(arguments: argparse.Namespace) -> int:
    from importlib import import_module

    from envcli_index.config import IndexConfig

    modules = {
        "devpi": "envcli_index.devpi",
        "serve": "envcli_index.serve",
        "gate": "envcli_index.gate.process",
        "worker": "envcli_index.worker",
    }
    name = arguments.process
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format=f"{name} %(levelname)s %(name)s %(message)s"
    )
    # a line for every request that one process makes to another says nothing and is written ten times a
    # second
    logging.getLogger("httpx").setLevel(logging.WARNING)
    config = IndexConfig.load(arguments.data)
    module = import_module(modules.get(name, f"envcli_index.trust.{name}"))
    if name in _SERVERS:
        return int(module.run(config, arguments.host, arguments.port) or 0)
    return int(module.run(config) or 0)


def _keygen(arguments: argparse.Namespace) -> int:
    from envcli_index.reviewer_tools import keygen

    keyid, public = keygen(arguments.out)
    print(
        f"key {keyid}\nprivate: {arguments.out} (keep it)\npublic:  {public} (give it to the index's administrator)"
    )
    return 0


def _enrol(arguments: argparse.Namespace) -> int:
    from envcli_index.config import IndexConfig
    from envcli_index.database import connect
    from envcli_index.enrolment import enrol

    engine = connect(IndexConfig.load(arguments.data))
    pem = arguments.public.read_text(encoding="utf-8")
    keyid = enrol(engine, arguments.name, pem, arguments.role, arguments.publisher)
    print(f"enrolled {arguments.name} with key {keyid}; the gate pins it at its next pass")
    return 0


def _retire(arguments: argparse.Namespace) -> int:
    from envcli_index.config import IndexConfig
    from envcli_index.database import connect
    from envcli_index.enrolment import retire

    retire(connect(IndexConfig.load(arguments.data)), arguments.keyid)
    print(f"retired the key {arguments.keyid}; the gate says so at its next pass")
    return 0


def _decide(arguments: argparse.Namespace) -> int:
    from envcli_index.reviewer_tools import decide

    print(
        decide(
            arguments.server,
            arguments.key,
            arguments.release,
            approve=arguments.approve,
            reason=arguments.reason,
            rules=arguments.rule,
        )
    )
    return 0


def _takedown(arguments: argparse.Namespace) -> int:
    from envcli_index.reviewer_tools import take_down

    print(
        take_down(
            arguments.server,
            arguments.key,
            arguments.release,
            reason=arguments.reason,
            severity=arguments.severity,
            advisory=arguments.advisory,
            remove=arguments.remove,
        )
    )
    return 0


def _list(arguments: argparse.Namespace) -> int:
    from envcli_index.administration import list_releases

    rows = list_releases(arguments.data, arguments.state)
    lines = [f"{row['project']}=={row['version']}  {row['state']}  {row['reason'] or ''}" for row in rows]
    _show(arguments, rows, "\n".join(lines) or "no releases")
    return 0


def _doctor(arguments: argparse.Namespace) -> int:
    from envcli_index.administration import diagnose

    return _report(arguments, diagnose(arguments.data))


def _verify_tree(arguments: argparse.Namespace) -> int:
    from envcli_index.administration import verify_tree

    return _report(arguments, verify_tree(arguments.data))


def _report(arguments: argparse.Namespace, problems: list[str]) -> int:
    _show(arguments, {"problems": problems}, "\n".join(problems) or "nothing wrong found")
    return EXIT_FAILURE if problems else 0


def _rebuild(arguments: argparse.Namespace) -> int:
    from envcli_index.administration import rebuild

    rebuild(arguments.data)
    _show(arguments, {"rebuilt": True}, "rendered every page anew")
    return 0


def _deps_add(arguments: argparse.Namespace) -> int:
    from envcli_index.config import IndexConfig
    from envcli_index.database import connect
    from envcli_index.dependencies import add_wheels

    config = IndexConfig.load(arguments.data)
    names = add_wheels(connect(config), config, arguments.wheels, first_party=False)
    _show(arguments, {"admitted": names}, f"admitted {', '.join(names)}; the gate publishes them")
    return 0


def _show(arguments: argparse.Namespace, value: Any, text: str) -> None:
    print(json.dumps(value, sort_keys=True) if getattr(arguments, "json", False) else text)


if __name__ == "__main__":
    sys.exit(main())
