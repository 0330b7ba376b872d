"""The index' vetting checks on the author's own machine: the same engine, the same rule ids."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from envcli_host.errors import UsageError
from envcli_host.workshop.errors import UploadError, WorkshopError
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
    """Run what needs no index on a wheel and, where given, its source archive: the upload gate's checks and vetting's.

    Raises:
        UsageError: a file is neither a wheel nor a source archive, or no wheel is among them.
        WorkshopError: the engine is not installed, or a file is missing.
    """
    _require_distributions(files)
    try:
        from envcli_vetting import Outcome, Severity, VettingContext, VettingError, run_checks
        from envcli_vetting.admission import inspect
    except ImportError as error:
        raise WorkshopError(
            "the vetting checks are not installed", remedy="Run: pip install 'envcli-host[workshop]'"
        ) from error
    for file in files:
        if not file.is_file():
            raise WorkshopError(f"{file} is no file", remedy="Build it with: envcli plugin build")
    try:
        report = run_checks(list(files), VettingContext(observations=inspect(files)))
    except OSError as error:
        raise WorkshopError(f"the checks cannot read or write a file: {error}") from error
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


def require_lint(files: Sequence[Path]) -> None:
    """Refuse files that the index would refuse.

    Raises:
        UploadError: a check found an error or could not speak; ``rule`` is that of the first finding.
        UsageError, WorkshopError: as for ``lint_files``.
    """
    report = lint_files(files)
    if report.passed:
        return
    errors = [item for item in report.observations if item["severity"] == "error"]
    reasons = [f"{item['evidence']} [{item['rule']}]" for item in errors] or list(report.silent)
    more = f" and {len(reasons) - 1} more" if len(reasons) > 1 else ""
    raise UploadError(
        f"the index would refuse this release: {reasons[0]}{more}; nothing was signed or uploaded",
        remedy="See all of it with: envcli plugin lint",
        rule=errors[0]["rule"] if errors else "",
    )


def _require_distributions(files: Sequence[Path]) -> None:
    for file in files:
        if not file.name.endswith((".whl", ".tar.gz")):
            raise UsageError(
                f"{file} is neither a wheel nor a .tar.gz source archive",
                remedy="Name built files, or none for those in dist/",
            )
    if not any(file.suffix == ".whl" for file in files):
        raise UsageError(
            "there is no wheel to check", remedy="Name the wheel too: without one no release is vetted"
        )


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
