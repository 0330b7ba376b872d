"""The index' vetting checks on the author's own machine: the same engine, the same rule ids."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from envcli_host.workshop.errors import WorkshopError
from envcli_host.workshop.reporting import render_observations

NEEDS_INDEX = frozenset({"dependencies"})
"""Checks that need what only the index has, such as its resolved closure and its advisories."""


@dataclass(frozen=True)
class LintReport:
    """What the checks say about files that are not published yet.

    Attributes:
        document: all of it as a JSON object.
        observations: all findings, as JSON objects.
        silent: ``check: reason`` of every check that could not speak.
        passed: the index would not refuse it for any of these findings; a person may still have to look.
    """

    document: dict[str, Any]
    observations: list[dict[str, Any]]
    silent: tuple[str, ...]
    passed: bool


def lint_files(files: Sequence[Path]) -> LintReport:
    """Run every check that needs no index on a wheel and, where given, its source archive.

    Raises:
        WorkshopError: the engine is not installed, or a file is missing.
    """
    try:
        from envcli_vetting import Outcome, Severity, VettingError, run_checks
    except ImportError as error:
        raise WorkshopError(
            "the vetting checks are not installed", remedy="Run: pip install 'envcli-host[workshop]'"
        ) from error
    for file in files:
        if not file.is_file():
            raise WorkshopError(f"{file} is no file", remedy="Build it with: envcli plugin build")
    try:
        report = run_checks(list(files))
    except VettingError as error:
        raise WorkshopError(f"the checks could not run: {error}") from error
    silent = tuple(
        f"{result.check}: {result.detail or result.outcome}"
        for result in report.results
        if not result.is_conclusive
    )
    failed = any(
        result.outcome is Outcome.ERROR
        or (result.outcome is Outcome.SKIPPED and result.check not in NEEDS_INDEX)
        for result in report.results
    )
    observations = [item.to_json() for item in report.observations]
    passed = not failed and not any(item.severity is Severity.ERROR for item in report.observations)
    document = {
        "files": [{"name": file.name, "sha256": file.sha256} for file in report.files],
        "passed": passed,
        "observations": observations,
        "not_checked": list(silent),
    }
    return LintReport(document, observations, silent, passed)


def render_lint(report: LintReport) -> str:
    """Return the report for a terminal."""
    lines = render_observations(list(report.observations))
    lines += [f"  not checked here: {line}" for line in report.silent]
    reviewed = any(item["severity"] == "review" for item in report.observations)
    if not report.passed:
        lines.append("the index would refuse this release")
    elif reviewed:
        lines.append("the index would not refuse this release, but a person will look at it")
    else:
        lines.append("the index would not refuse this release")
    return "\n".join(lines)
