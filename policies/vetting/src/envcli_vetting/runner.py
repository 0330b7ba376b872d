"""Running every check on every wheel of a release, each in a process of its own.

Nothing here decides on good will: a check that errs, is skipped or runs out of time leaves the report
inconclusive, and an inconclusive report approves nothing.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from envcli_sdk import PermissionRequest

from envcli_vetting.check import CHECKS, Check, load_check
from envcli_vetting.errors import ArchiveError, CheckError
from envcli_vetting.observation import CheckResult, Observation, Outcome, error, outcome_of
from envcli_vetting.process import Done, run_tool
from envcli_vetting.report import VettedFile, VettingReport
from envcli_vetting.tree import Pin, ReleaseTree
from envcli_vetting.wheel import read_wheel, unpack
from envcli_vetting.zip_structure import ArchiveLimits


@dataclass(frozen=True, slots=True)
class VettingContext:
    """What is known around a release.

    Attributes:
        closure: Every dependency that was resolved, or None when none was; the dependency check is then
            skipped.
        osv_url: OSV query address, or None when there is none.
        first_release: Whether no earlier release of the project was promoted.
        previous: Permissions of the newest promoted release.
        observations: What was seen outside of the checks, for instance while resolving dependencies.
    """

    closure: tuple[Pin, ...] | None = None
    osv_url: str | None = None
    first_release: bool = True
    previous: tuple[PermissionRequest, ...] = field(default=())
    observations: tuple[Observation, ...] = ()


def run_checks(
    files: Sequence[Path], context: VettingContext | None = None, *, only: Sequence[str] | None = None
) -> VettingReport:
    """Vet one release.

    Args:
        files: Its wheels and, at most once, its source archive, under their own file names.
        context: What is known around it.
        only: Run just these checks, for authors; such a report is inconclusive as long as a required one is
        missing.

    Returns:
        The report; see `VettingReport.verdict`.
    """
    known = context or VettingContext()
    started = datetime.now(UTC)
    wheels = [path for path in files if path.suffix == ".whl"]
    sdist = next((path for path in files if path.name.endswith(".tar.gz")), None)
    checks = [load_check(check_id) for check_id in CHECKS if only is None or check_id in only]
    results = [_from_context(known)] if known.observations else []
    with tempfile.TemporaryDirectory(prefix="envcli-vetting-") as folder:
        for number, wheel in enumerate(wheels):
            tree = _tree(wheel, sdist, Path(folder) / str(number), known)
            results += _run_on_wheel(tree, checks)
    vetted = tuple(VettedFile.of(path) for path in files)
    return VettingReport(vetted, tuple(results), started, datetime.now(UTC))


def _from_context(known: VettingContext) -> CheckResult:
    outcome = outcome_of(known.observations)
    return CheckResult("resolution", "1", False, "", outcome, known.observations)


def _tree(wheel: Path, sdist: Path | None, folder: Path, known: VettingContext) -> ReleaseTree:
    root, scratch = folder / "tree", folder / "scratch"
    root.mkdir(parents=True)
    scratch.mkdir()
    return ReleaseTree(
        wheel=wheel.absolute(),
        root=root,
        scratch=scratch,
        sdist=sdist.absolute() if sdist else None,
        closure=known.closure,
        osv_url=known.osv_url,
        first_release=known.first_release,
        previous=known.previous,
    )


def _run_on_wheel(tree: ReleaseTree, checks: Sequence[Check]) -> list[CheckResult]:
    """The archive check always comes first; the others see the wheel only if it may be unpacked."""
    archive = _run_one(load_check("archive"), tree)
    if archive.outcome is Outcome.ERROR or any(one.severity == "error" for one in archive.observations):
        return [archive, *(_skipped(check, tree) for check in checks if check.id != "archive")]
    try:
        unpack(read_wheel(tree.wheel, ArchiveLimits()), tree.root)
    except ArchiveError as broken:
        damaged = error(
            broken.rule, broken.message, path=broken.path, why="It cannot be installed", fix=broken.remedy
        )
        found = (*archive.observations, damaged)
        return [replace(archive, outcome=Outcome.FINDING, observations=found)]
    return [archive, *(_run_one(check, tree) for check in checks if check.id != "archive")]


def _run_one(check: Check, tree: ReleaseTree) -> CheckResult:
    begun = time.monotonic()
    blank = CheckResult(check.id, check.version, check.required, tree.wheel.name, Outcome.ERROR)
    try:
        arguments = ["-m", "envcli_vetting.child", check.id]
        done = run_tool(arguments, tree.scratch, check.seconds, stdin=tree.to_json().encode())
        result = _parse(blank, done)
    except CheckError as broken:
        result = replace(blank, detail=str(broken))
    return replace(result, seconds=round(time.monotonic() - begun, 3))


def _parse(blank: CheckResult, done: Done) -> CheckResult:
    if done.status != 0:
        raise CheckError(f"the check {blank.check} ended with status {done.status}: {done.message}")
    try:
        document = json.loads(done.stdout)
        observations = tuple(Observation.from_json(one) for one in document["observations"])
        outcome, detail = Outcome(document["outcome"]), str(document["detail"])
    except (ValueError, KeyError, TypeError) as broken:
        raise CheckError(f"the check {blank.check} gave no readable answer") from broken
    return replace(blank, outcome=outcome, observations=observations, facts=document["facts"], detail=detail)


def _skipped(check: Check, tree: ReleaseTree) -> CheckResult:
    reason = "the archive is unsafe, so it was not unpacked"
    return CheckResult(
        check.id, check.version, check.required, tree.wheel.name, Outcome.SKIPPED, detail=reason
    )
