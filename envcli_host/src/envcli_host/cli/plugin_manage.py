"""``envcli plugin list | remove | permissions``."""

import argparse
from typing import TYPE_CHECKING

from envcli_host.cli.output import escape_controls, print_json, print_table
from envcli_host.cli.plugin_install import answers_of, current_project, describe, is_trusted
from envcli_host.config import HostPaths

if TYPE_CHECKING:
    from envcli_host.plugins.discovery import Pointer
    from envcli_host.plugins.registry import Record


def run_list(arguments: argparse.Namespace) -> int:
    """List what is installed, linked, and what only pip installed."""
    from envcli_host.plugins.discovery import find_pointers
    from envcli_host.plugins.registry import Registry

    paths = HostPaths.from_environment()
    registry, pointers = Registry.load(paths), find_pointers(paths)
    if arguments.json:
        print_json(
            [
                *(describe(record, paths) for record in registry),
                *(_describe_pointer(item) for item in pointers),
            ]
        )
        return 0
    rows = [
        (
            record.id,
            record.version,
            record.type,
            _trust(record, paths),
            record.project,
        )
        for record in registry
    ]
    rows += [(item.id or "?", item.version, "?", "pip only: not run", item.project) for item in pointers]
    if rows:
        print_table(("ID", "VERSION", "TYPE", "TRUST", "PROJECT"), rows)
    else:
        print("no plugin is installed; find some with: envcli plugin search")
    return 0


def run_remove(arguments: argparse.Namespace) -> int:
    """Remove one plugin."""
    from envcli_host.plugins.lifecycle import remove

    paths = HostPaths.from_environment()
    record = remove(arguments.plugin, paths)
    if arguments.json:
        print_json(describe(record, paths))
    else:
        print(f"removed {record.project} {record.version}")
    return 0


def run_permissions(arguments: argparse.Namespace) -> int:
    """Show, grant or revoke."""
    from envcli_host.plugins import permissions
    from envcli_host.plugins.registry import Registry

    paths = HostPaths.from_environment()
    record = Registry.load(paths).find(arguments.plugin)
    if arguments.revoke:
        permissions.revoke(record, arguments.revoke, paths)
    if arguments.grant:
        permissions.grant(record, arguments.instance, current_project(), paths, answers_of(arguments))
    rows = list(_rows(arguments, paths))
    if arguments.json:
        keys = ("permission", "scope", "resolved", "risk", "state", "reason")
        print_json([dict(zip(keys, row, strict=True)) for row in rows])
    elif rows:
        for permission, scope, resolved, risk, state, reason in rows:
            shown = scope if resolved in {"", scope} else f"{scope} = {resolved}"
            print(escape_controls(f"{state:<9} [{risk}] {permission} {shown}: {reason}"))
    else:
        print(f"{record.id} asks for no permission")
    return 0


def _rows(arguments: argparse.Namespace, paths: HostPaths) -> list[tuple[str, ...]]:
    from envcli_policy.permissions import risk_of
    from envcli_sdk.permissions import resolve_request

    from envcli_host.plugins import lifecycle, permissions
    from envcli_host.plugins.grants import GrantBook, scope_of
    from envcli_host.plugins.registry import Registry

    record = Registry.load(paths).find(arguments.plugin)
    manifest, digest = permissions.read_manifest(record, paths)
    config = lifecycle.default_config(manifest, current_project(), paths, arguments.instance)
    entry = GrantBook.load(paths).get(record.project)
    rows = []
    for request in manifest.permissions:
        resolved = resolve_request(request, dict(config.values) if config else {})
        state = "requested"
        if entry is not None and scope_of(request) in entry.revoked:
            state = "revoked"
        elif entry is not None and entry.manifest_sha256 == digest and scope_of(request) in entry.granted:
            seen = entry.instances.get(arguments.instance, frozenset())
            known = resolved is None or not request.references or scope_of(resolved) in seen
            state = "granted" if known else "requested"
        row = (
            request.permission,
            request.scope,
            resolved.scope if resolved else "",
            risk_of(resolved or request),
        )
        rows.append((*map(str, row), state, request.reason))
    return rows


def _trust(record: "Record", paths: HostPaths) -> str:
    if record.origin != "index":
        return "UNVERIFIED (linked)"
    name = record.index_name
    return f"verified ({name})" if is_trusted(record, paths) else f"NOT TRUSTED any more ({name})"


def _describe_pointer(pointer: "Pointer") -> dict[str, object]:
    return {
        "project": pointer.project,
        "version": pointer.version,
        "id": pointer.id,
        "origin": "pointer",
        "verified": False,
        "problem": pointer.problem,
        "remedy": f"envcli plugin install {pointer.project}=={pointer.version}",
    }
