"""Bandit: known insecure patterns, as a second opinion.

Its findings rarely mean malice (most real packages have some), so only findings of high severity and high
confidence ask a person. The plugin cannot configure it: its own ``.bandit`` file and ``nosec`` comments are
ignored.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, ClassVar

from envcli_vetting.errors import CheckError
from envcli_vetting.observation import Confidence, Findings, Observation, Severity
from envcli_vetting.process import run_tool
from envcli_vetting.tree import ReleaseTree

_CONFIDENCE = {"LOW": Confidence.LOW, "MEDIUM": Confidence.MEDIUM, "HIGH": Confidence.HIGH}
_MANY = 200


@dataclass(frozen=True)
class BanditCheck:
    """See the module."""

    id: ClassVar[str] = "bandit"
    version: ClassVar[str] = f"1+bandit{version('bandit')}"
    required: ClassVar[bool] = True
    seconds: ClassVar[float] = 120

    def run(self, tree: ReleaseTree) -> Findings:
        """Run bandit over the unpacked wheel."""
        if not any(tree.python_files()):
            return Findings()
        settings = tree.scratch / "bandit.ini"
        settings.write_text("[bandit]\n", encoding="utf-8")
        arguments = [
            "-m",
            "bandit",
            "-r",
            str(tree.root),
            "-f",
            "json",
            "-q",
            "--exit-zero",
            "--ignore-nosec",
        ]
        done = run_tool([*arguments, "--ini", str(settings)], tree.scratch, self.seconds - 5)
        return Findings(tuple(_observations(_parse(done.stdout), str(tree.root))))


CHECK = BanditCheck()


def _parse(output: bytes) -> dict[str, Any]:
    try:
        report = json.loads(output)
        errors, results = report["errors"], report["results"]
    except (ValueError, KeyError, TypeError) as broken:
        raise CheckError("bandit did not answer with its JSON report") from broken
    if errors or not isinstance(results, list):
        first = errors[0] if errors else {}
        raise CheckError(f"bandit could not read {first.get('filename', '?')}: {first.get('reason', '?')}")
    return dict(report)


def _observations(report: dict[str, Any], root: str) -> Iterator[Observation]:
    for result in report["results"][:_MANY]:
        severity, confidence = result["issue_severity"], result["issue_confidence"]
        grave = severity == confidence == "HIGH"
        noticeable = severity in {"HIGH", "MEDIUM"}
        yield Observation(
            rule=f"bandit-{result['test_id']}",
            severity=Severity.REVIEW if grave else Severity.WARNING if noticeable else Severity.NOTE,
            confidence=_CONFIDENCE.get(confidence, Confidence.LOW),
            path=result["filename"].removeprefix(root).lstrip("/"),
            line=int(result["line_number"]),
            evidence=result["issue_text"],
            why=f"Insecure pattern {result['test_name']}",
            fix="Use the safer form that the rule's page describes",
            docs=result.get("more_info", ""),
        )
