"""``envcli validate``: exit status 0 = passed, 1 = errors, 2 = warnings only."""

import argparse
from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

from envcli_sdk.commands import EnvironmentValidation, Finding, Severity, ValidationResult, Var

from envcli_host.cli.announcing import VALIDATED, announce
from envcli_host.cli.output import escape_controls, note, print_json, warn
from envcli_host.config import HostPaths
from envcli_host.environments.project import Project
from envcli_host.environments.snapshots import take_snapshot
from envcli_host.environments.steering import steers_programs
from envcli_host.environments.sync import verify_names
from envcli_host.environments.validation import validate
from envcli_host.errors import EnvcliError

if TYPE_CHECKING:
    from envcli_host.plugins.session import PluginSession

    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

PASSED, ERRORS, WARNINGS = 0, 1, 2


def add_parser(subparsers: "Subparsers") -> None:
    """Add the command of this module."""
    parser = subparsers.add_parser(
        "validate",
        help="check environments by built-in rules and by those of plugins",
        description="Exit status: 0 passed, 1 errors, 2 warnings only.",
    )
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument("-e", "--environment", metavar="NAME", help="default: the current one")
    chosen.add_argument("--all", action="store_true", help="check every environment")
    parser.add_argument("--strict", action="store_true", help="count warnings as errors")
    parser.add_argument(
        "--fix", action="store_true", help="apply the repairs that rules offer, after a snapshot"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(func=run_validate)


def run_validate(arguments: argparse.Namespace) -> int:
    """Check, repair if asked, and report."""
    project = Project.find()
    names = project.environments() if arguments.all else (arguments.environment or project.current(),)
    with ExitStack() as stack:
        sessions = _sessions(project, stack)
        found = {name: _check(project, name, sessions) for name in names}
        if arguments.fix and any(_apply_fixes(project, name, findings) for name, findings in found.items()):
            found = {name: _check(project, name, sessions) for name in names}
    _report(found, as_json=arguments.json)
    announce(VALIDATED, _event(found), project)
    return _status(found, strict=arguments.strict)


def _sessions(project: Project, stack: ExitStack) -> "list[tuple[str, PluginSession]]":
    from envcli_host.plugins.manager import open_plugin, rules

    paths = HostPaths.from_environment()
    opened = []
    for ref in rules(paths):
        session = stack.enter_context(open_plugin(ref, project=project, paths=paths))
        for line in session.warnings:
            warn(line)
        opened.append((ref.id, session))
    return opened


def _check(
    project: Project, environment: str, sessions: "list[tuple[str, PluginSession]]"
) -> tuple[Finding, ...]:
    lines = {assignment.name: assignment.line for assignment in project.read(environment).assignments}
    variables = tuple(
        Var(name, value, environment, lines.get(name)) for name, value in project.values(environment).items()
    )
    findings = list(validate(project, environment))
    for plugin, session in sessions:
        result = session.execute(EnvironmentValidation(environment, variables))
        if not isinstance(result, ValidationResult):
            raise EnvcliError(
                f"plugin {plugin} did not answer with findings", remedy="Report it to its publisher"
            )
        findings += [
            finding for finding in result.findings if finding.variable in {"", *(v.name for v in variables)}
        ]
    return tuple(findings)


def _apply_fixes(project: Project, environment: str, findings: tuple[Finding, ...]) -> bool:
    """Apply the repairs of one environment; the first rule that repairs a variable wins. True if any was made."""
    changes: dict[str, str | None] = {}
    for finding in findings:
        if finding.fix is not None and finding.variable and not steers_programs(finding.variable):
            value = finding.fix.value
            changes.setdefault(finding.variable, None if value is None else value.value)
    if not changes:
        return False
    verify_names({name: value or "" for name, value in changes.items()}, "a repair")
    take_snapshot(project, environment)
    project.update(environment, changes)
    note(f"{environment}: repaired {', '.join(changes)}")
    return True


def _report(found: dict[str, tuple[Finding, ...]], *, as_json: bool) -> None:
    if as_json:
        print_json({name: [_document(finding) for finding in findings] for name, findings in found.items()})
        return
    for line in _lines(found):
        print(line)


def _lines(found: dict[str, tuple[Finding, ...]]) -> Iterator[str]:
    for name, findings in found.items():
        if not findings:
            yield f"{name}: passed"
        for finding in findings:
            repair = " (--fix repairs it)" if finding.fix is not None else ""
            yield escape_controls(
                f"{name}: {finding.severity.value}: {finding.message} [{finding.rule}]{repair}"
            )


def _document(finding: Finding) -> dict[str, object]:
    return {
        "rule": finding.rule,
        "severity": finding.severity.value,
        "variable": finding.variable,
        "message": finding.message,
        "fixable": finding.fix is not None,
    }


def _event(found: dict[str, tuple[Finding, ...]]) -> dict[str, object]:
    severities = [finding.severity for findings in found.values() for finding in findings]
    counts = {
        f"{severity.value}s": severities.count(severity) for severity in (Severity.error, Severity.warning)
    }
    return {"environments": sorted(found), **counts}


def _status(found: dict[str, tuple[Finding, ...]], *, strict: bool) -> int:
    seen = {finding.severity for findings in found.values() for finding in findings}
    if Severity.error in seen or (strict and Severity.warning in seen):
        return ERRORS
    return WARNINGS if Severity.warning in seen else PASSED
