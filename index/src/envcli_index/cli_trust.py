"""Commands of ``envcli-index`` that look after trust data: advisories and the root role."""

import argparse
import json
from pathlib import Path
from typing import Any


def add_commands(commands: Any) -> None:
    """Add ``osv load`` and ``root renew`` to the parser's commands."""
    osv = commands.add_parser("osv", help="advisories that vetting asks for")
    load = osv.add_subparsers(required=True, metavar="VERB").add_parser(
        "load", help="replace the advisories of one source, all or none"
    )
    _add_data(load)
    load.add_argument("path", type=Path, metavar="PATH", help="OSV JSON: a file, a folder or a ZIP archive")
    load.add_argument("--source", default="pypa", help="where they are from; own for plugins of this index")
    load.add_argument("--json", action="store_true", help="machine-readable output")
    load.set_defaults(run=_load)
    root = commands.add_parser("root", help="the root of trust that hosts pin")
    renew = root.add_subparsers(required=True, metavar="VERB").add_parser(
        "renew", help="sign a new root, valid for a year; needs the root key in place"
    )
    _add_data(renew)
    renew.set_defaults(run=_renew)


def _add_data(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--data", type=Path, required=True, metavar="DIR", help="data directory of the index"
    )


def _load(arguments: argparse.Namespace) -> None:
    from envcli_index.config import IndexConfig
    from envcli_index.trust.advisories import load_advisories

    source = load_advisories(arguments.path, IndexConfig.load(arguments.data), arguments.source)
    newest = source.newest.isoformat()
    if arguments.json:
        print(json.dumps({"source": source.name, "advisories": source.advisories, "newest": newest}))
    else:
        print(f"{source.advisories} advisories of {source.name}, the newest changed {newest}")


def _renew(arguments: argparse.Namespace) -> None:
    from envcli_index.config import IndexConfig
    from envcli_index.trust.tuf import renew_root

    version = renew_root(IndexConfig.load(arguments.data))
    print(f"root version {version} is signed; hosts follow it from the one they pinned")
