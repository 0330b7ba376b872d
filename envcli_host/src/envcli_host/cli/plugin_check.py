"""``envcli plugin verify | doctor``: exit status 1 when something is wrong."""

import argparse
import sys
from dataclasses import asdict

from envcli_host.cli.output import escape_controls, print_json, warn
from envcli_host.config import HostPaths
from envcli_host.errors import EnvcliError


def run_verify(arguments: argparse.Namespace) -> int:
    """Verify the named plugins, or every installed one."""
    from envcli_host.plugins.registry import Origin, Registry
    from envcli_host.plugins.verification import verify_release

    paths = HostPaths.from_environment()
    registry = Registry.load(paths)
    records = [registry.find(name) for name in arguments.plugins] or [
        r for r in registry if r.origin is Origin.INDEX
    ]
    report, failed = [], False
    for record in records:
        try:
            found = verify_release(record, paths)
        except EnvcliError as error:
            failed = True
            report.append(
                {"plugin": record.project, "version": record.version, "ok": False, "reason": str(error)}
            )
        else:
            text = f"{found.files} files of {found.wheels} wheels are as signed"
            report.append({"plugin": record.project, "version": record.version, "ok": True, "reason": text})
            for line in found.warnings:
                warn(line)
    if arguments.json:
        print_json(report)
    else:
        for entry in report:
            word = "ok" if entry["ok"] else "FAILED"
            print(escape_controls(f"{word}: {entry['plugin']} {entry['version']}: {entry['reason']}"))
    return 1 if failed else 0


def run_doctor(arguments: argparse.Namespace) -> int:
    """Examine the host and print every diagnosis."""
    from envcli_host.plugins.doctor import Level, examine

    found = list(examine(HostPaths.from_environment()))
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
