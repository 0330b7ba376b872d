"""The report on one release: a verdict, and the statements that the vetting key signs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import Any

from envcli_policy.release import ClosureFile, closure_digest
from envcli_policy.statements import CAPABILITY, TEST_RESULT, VULNS, Statement, Subject
from envcli_policy.strict_json import format_time
from envcli_policy.vetting import Action

from envcli_vetting.check import CHECKS, load_check
from envcli_vetting.errors import VettingError
from envcli_vetting.observation import CheckResult, Observation, Outcome, Severity


class Verdict(StrEnum):
    """What the checks together say. Only ``passed`` approves without a person; ``inconclusive`` decides
    nothing.
    """

    PASSED = "passed"
    NEEDS_HUMAN = "needs-human"
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"


ACTIONS: Mapping[Verdict, Action] = {
    Verdict.PASSED: Action.PASS,
    Verdict.NEEDS_HUMAN: Action.REFER,
    Verdict.FAILED: Action.FAIL,
}
"""The action of the state machine for each verdict; an inconclusive report has none."""

_RESULTS = {Verdict.PASSED: "PASSED", Verdict.NEEDS_HUMAN: "WARNED", Verdict.FAILED: "FAILED"}


@dataclass(frozen=True, slots=True)
class VettedFile:
    """A file of the release: name and hexadecimal SHA-256."""

    name: str
    sha256: str

    @classmethod
    def of(cls, path: Path) -> VettedFile:
        """Name and digest of the file at `path`."""
        with path.open("rb") as file:
            return cls(path.name, hashlib.file_digest(file, "sha256").hexdigest())


@dataclass(frozen=True, slots=True)
class VettingReport:
    """Everything the checks said about a release."""

    files: tuple[VettedFile, ...]
    results: tuple[CheckResult, ...]
    started: datetime
    finished: datetime

    @property
    def observations(self) -> tuple[Observation, ...]:
        """Every observation, the gravest first."""
        order = list(Severity)
        found = [one for result in self.results for one in result.observations]
        return tuple(
            sorted(found, key=lambda one: (-order.index(one.severity), one.rule, one.path, one.line))
        )

    @property
    def verdict(self) -> Verdict:
        """Refused by any error; else inconclusive unless every required check spoke; else human or passed."""
        severities = {one.severity for one in self.observations}
        if Severity.ERROR in severities:
            return Verdict.FAILED
        if self.problems:
            return Verdict.INCONCLUSIVE
        if Severity.REVIEW in severities or any(one.outcome is not Outcome.PASS for one in self.results):
            return Verdict.NEEDS_HUMAN
        return Verdict.PASSED

    @property
    def problems(self) -> tuple[str, ...]:
        """Why the report is inconclusive: each required check that is missing or did not speak."""
        return tuple(self._problems())

    def _problems(self) -> Iterator[str]:
        wheels = [file.name for file in self.files if file.name.endswith(".whl")]
        if not wheels:
            yield "the release has no wheel"
        spoken = {(one.check, one.wheel) for one in self.results if one.is_conclusive}
        why = {(one.check, one.wheel): one.detail for one in self.results}
        for check in (load_check(check_id) for check_id in CHECKS):
            for wheel in wheels if check.required else ():
                if (check.id, wheel) not in spoken:
                    yield f"{check.id} on {wheel}: {why.get((check.id, wheel)) or 'did not run'}"

    def statements(self, closure: Iterable[ClosureFile] = ()) -> tuple[Statement, ...]:
        """The statements to sign: test result always, capability and vulnerabilities as far as they were
        found.

        Args:
            closure: Every dependency wheel that was resolved; the test result carries their digest.

        Raises:
            VettingError: The report is inconclusive, so there is nothing to state.
        """
        if self.verdict is Verdict.INCONCLUSIVE:
            raise VettingError(f"vetting is inconclusive: {self.problems[0]}", remedy="Run the checks again")
        subjects = tuple(Subject(file.name, file.sha256) for file in self.files)
        made = [Statement(TEST_RESULT, subjects, self._test_result(closure_digest(closure)))]
        capability, vulnerabilities = self._capability(), self._vulnerabilities()
        if capability is not None:
            made.append(Statement(CAPABILITY, subjects, capability))
        if vulnerabilities is not None:
            made.append(Statement(VULNS, subjects, vulnerabilities))
        return tuple(made)

    def _test_result(self, closure_sha256: str) -> dict[str, Any]:
        """https://github.com/in-toto/attestation/blob/main/spec/predicates/test-result.md"""
        named = {outcome: [] for outcome in Outcome}  # type: dict[Outcome, list[str]]
        for result in self.results:
            named[result.outcome].append(f"{result.check}:{result.wheel}")
        failed = {
            f"{one.check}:{one.wheel}"
            for one in self.results
            for o in one.observations
            if o.severity == "error"
        }
        rules = {one.rule for one in self.observations if one.severity in {Severity.ERROR, Severity.REVIEW}}
        return {
            "result": _RESULTS[self.verdict],
            "configuration": [
                {"name": f"{c}@{v}"} for c, v in sorted({(r.check, r.version) for r in self.results})
            ],
            "passedTests": named[Outcome.PASS],
            "warnedTests": sorted(set(named[Outcome.FINDING]) - failed),
            "failedTests": sorted(failed),
            "envcli": {
                "rules": sorted(rules),
                "vetting": version("envcli-vetting"),
                "closure_sha256": closure_sha256,
            },
        }

    def _facts(self, check: str) -> list[Mapping[str, Any]]:
        return [result.facts for result in self.results if result.check == check and result.facts]

    def _capability(self) -> dict[str, Any] | None:
        """The wheels' capability facts as one; wheels of one release must share their manifest."""
        facts = self._facts("capability")
        if not facts:
            return None
        if len({fact["manifest_sha256"] for fact in facts}) != 1:
            raise VettingError(
                "the wheels of the release carry different manifests", remedy="Build them together"
            )
        observed: dict[str, list[Any]] = {}
        for fact in facts:
            for one in fact["observed"]:
                observed.setdefault(one["permission"], []).extend(one["evidence"])
        return {
            "manifest": facts[0]["manifest"],
            "manifest_sha256": facts[0]["manifest_sha256"],
            "observed": [
                {"permission": name, "evidence": places[:100]} for name, places in sorted(observed.items())
            ],
            "undeclared": sorted({name for fact in facts for name in fact["undeclared"]}),
            "unused": sorted(set.intersection(*(set(fact["unused"]) for fact in facts))),
        }

    def _vulnerabilities(self) -> dict[str, Any] | None:
        """https://github.com/in-toto/attestation/blob/main/spec/predicates/vuln.md"""
        facts = self._facts("dependencies")
        if not facts:
            return None
        return {
            "scanner": {
                "uri": f"pkg:pypi/pip-audit@{version('pip-audit')}",
                "version": version("pip-audit"),
                "db": dict(facts[0].get("database", {})),
                "result": [one for fact in facts for one in fact["vulnerabilities"]],
            },
            "metadata": {
                "scanStartedOn": format_time(self.started),
                "scanFinishedOn": format_time(self.finished),
            },
        }
