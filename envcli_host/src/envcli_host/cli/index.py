"""``envcli index add | list | remove | refresh``."""

import argparse
import hashlib
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from envcli_host.cli.output import print_json, print_table
from envcli_host.config import HostPaths
from envcli_host.errors import UsageError, VerificationError

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]


def add_parser(subparsers: "Subparsers") -> None:
    """Add the commands of this module."""
    group = subparsers.add_parser("index", help="choose the plugin indexes to trust")
    verbs = group.add_subparsers(dest="verb", metavar="VERB", required=True)
    add = verbs.add_parser(
        "add",
        help="trust an index",
        description="Trust a plugin index from now on. Its root of trust is pinned by a fingerprint, which you should "
        "have from a source other than the index itself.",
    )
    add.add_argument("url", metavar="URL", help="https address; plain http on this machine only")
    add.add_argument("--root-sha256", metavar="HASH", help="fingerprint of the index' root of trust")
    add.add_argument("--name", help="how to call it; default: from its host name")
    add.add_argument("--json", action="store_true")
    add.set_defaults(func=run_add)
    list_ = verbs.add_parser("list", help="list the trusted indexes")
    list_.add_argument("--json", action="store_true")
    list_.set_defaults(func=run_list)
    remove = verbs.add_parser("remove", help="trust an index no longer")
    remove.add_argument("name", metavar="NAME")
    remove.add_argument("--json", action="store_true")
    remove.set_defaults(func=run_remove)
    refresh = verbs.add_parser("refresh", help="fetch and verify the newest trust metadata and takedowns")
    refresh.add_argument("name", nargs="?", metavar="NAME", help="default: all")
    refresh.add_argument("--json", action="store_true")
    refresh.set_defaults(func=run_refresh)


def run_add(arguments: argparse.Namespace) -> int:
    """Pin an index' root after its metadata has verified against it."""
    from envcli_host.marketplace import indexes
    from envcli_host.marketplace.transport import Transport
    from envcli_host.marketplace.trust import refresh, try_root

    paths, url = HostPaths.from_environment(), indexes.parse_url(arguments.url)
    name = arguments.name or indexes.default_name(url)
    indexes.index_dir(name, paths)
    if any(index.name == name for index in indexes.load_indexes(paths)):
        raise UsageError(
            f"there is an index called {name} already", remedy="Choose another --name or remove it first"
        )
    with Transport(url, f"index {name}") as transport, tempfile.TemporaryDirectory() as scratch:
        root = transport.read("tuf/metadata/1.root.json", indexes.MAX_ROOT)
        found = hashlib.sha256(root).hexdigest()
        _confirm_root(found, arguments.root_sha256, url)
        index = indexes.IndexRecord(name, url, found)
        try_root(index, root, Path(scratch), transport)
        indexes.store_index(index, root, paths)
        refresh(index, paths, transport)
    if arguments.json:
        print_json({"name": name, "url": url, "root_sha256": found})
    else:
        print(f"index {name} ({url}) is trusted; root {found}")
    return 0


def run_list(arguments: argparse.Namespace) -> int:
    """List the indexes."""
    from envcli_host.marketplace.indexes import load_indexes

    found = load_indexes(HostPaths.from_environment())
    if arguments.json:
        print_json([{"name": i.name, "url": i.url, "root_sha256": i.root_sha256} for i in found])
    elif found:
        print_table(("NAME", "URL", "ROOT SHA-256"), [(i.name, i.url, i.root_sha256) for i in found])
    else:
        print("no index; add one with: envcli index add URL --root-sha256 HASH")
    return 0


def run_remove(arguments: argparse.Namespace) -> int:
    """Forget an index."""
    from envcli_host.marketplace.indexes import remove_index

    remove_index(arguments.name, HostPaths.from_environment())
    if arguments.json:
        print_json({"removed": arguments.name})
    else:
        print(f"index {arguments.name} is no longer trusted; plugins installed from it will not run")
    return 0


def run_refresh(arguments: argparse.Namespace) -> int:
    """Refresh one or all indexes."""
    from envcli_host.marketplace.indexes import select_indexes
    from envcli_host.marketplace.transport import Transport
    from envcli_host.marketplace.trust import refresh

    paths, rows = HostPaths.from_environment(), []
    for index in select_indexes(paths, arguments.name):
        with Transport(index.url, f"index {index.name}") as transport:
            rows.append({"name": index.name, "expires": refresh(index, paths, transport).expires.isoformat()})
    if arguments.json:
        print_json(rows)
    else:
        print("\n".join(f"index {row['name']} is fresh until {row['expires']}" for row in rows))
    return 0


def _confirm_root(found: str, expected: str | None, url: str) -> None:
    from envcli_host.marketplace.indexes import parse_fingerprint

    if expected is not None:
        if parse_fingerprint(expected) != found:
            raise VerificationError(
                f"{url} has the root {found}, not the one you gave",
                remedy="Ask the index' operator for the fingerprint",
            )
        return
    if not sys.stdin.isatty():
        raise UsageError(
            f"the root of {url} has the fingerprint {found}, which nobody has confirmed",
            remedy="Compare it with the operator's and pass it as --root-sha256",
        )
    print(f"The root of trust of {url} has the fingerprint\n  {found}", file=sys.stderr)
    print(
        "Compare it with the one its operator publishes elsewhere, then type it here: ",
        end="",
        file=sys.stderr,
        flush=True,
    )
    if parse_fingerprint(sys.stdin.readline()) != found:
        raise VerificationError("that is another fingerprint, so the index was not added")
