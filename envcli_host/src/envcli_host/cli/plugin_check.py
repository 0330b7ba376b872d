"""``envcli plugin verify | doctor``: exit status 1 when something is wrong."""

import argparse
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from envcli_host.cli.output import escape_controls, print_json, warn
from envcli_host.cli.plugin_install import current_project
from envcli_host.config import HostPaths
from envcli_host.errors import EnvcliError

if TYPE_CHECKING:
    from envcli_host.plugins.registry import Record

_WORDS: dict[object, str] = {True: "ok", False: "FAILED", None: "unverified"}


def run_verify(arguments: argparse.Namespace) -> int:
    """Verify the named plugins, or every installed one."""
    from envcli_host.plugins.registry import Origin, Registry
    from envcli_host.plugins.verification import verify_release

    paths = HostPaths.from_environment()
    registry = Registry.load(paths)
    records = [registry.find(name) for name in arguments.plugins] or list(registry)
    report: list[dict[str, object]] = []
    failed = False
    for record in records:
        if record.origin is Origin.LINKED and not arguments.plugins:
            report.append(_entry(record, None, f"linked from {record.folder}, where nothing is signed"))
            continue
        try:
            found = verify_release(record, paths)
        except EnvcliError as error:
            failed = True
            report.append(_entry(record, False, str(error)))
        else:
            text = f"{found.files} files of {found.wheels} wheels are as signed"
            report.append(_entry(record, True, text))
            for line in found.warnings:
                warn(line)
    if arguments.json:
        print_json(report)
    else:
        for entry in report:
            word = _WORDS[entry["ok"]]
            print(escape_controls(f"{word}: {entry['plugin']} {entry['version']}: {entry['reason']}"))
        if not report:
            print("no plugin is installed, so there is nothing to verify")
    return 1 if failed else 0


def _entry(record: "Record", ok: bool | None, reason: str) -> dict[str, object]:
    return {"plugin": record.project, "version": record.version, "ok": ok, "reason": reason}


def _value_files() -> list[Path]:
    """Files of the current project's environments; a broken project is no reason to examine nothing."""
    try:
        project = current_project()
        return [project.file_of(name) for name in project.environments()] if project is not None else []
    except EnvcliError as error:
        warn(str(error))
        return []


def run_doctor(arguments: argparse.Namespace) -> int:
    """Examine the host and print every diagnosis."""
    from envcli_host.plugins.doctor import Level, examine

    found = list(examine(HostPaths.from_environment(), _value_files()))
    if arguments.json:
        print_json([asdict(item) for item in found])
    else:
        for item in found:
            remedy = f" -> {item.remedy}" if item.remedy else ""
            print(escape_controls(f"{item.level:<8}{item.subject}: {item.message}{remedy}"))
    problems = sum(item.level is Level.PROBLEM for item in found)
    if problems:
        print(f"{problems} problem(s)", file=sys.stderr)
    return 1 if problems else 0
