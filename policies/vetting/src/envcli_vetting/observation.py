"""What checks say: observations, the result of each check, and how both travel as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

MAX_TEXT = 500


class Severity(StrEnum):
    """What an observation leads to: ``error`` refuses, ``review`` asks a person, the others inform."""

    NOTE = "note"
    WARNING = "warning"
    REVIEW = "review"
    ERROR = "error"


class Confidence(StrEnum):
    """How sure the check is that it read the code rightly."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class Outcome(StrEnum):
    """How a check ended. Only ``pass`` is a pass: an error or a skipped check says nothing about the
    release.
    """

    PASS = "pass"  # noqa: S105 no password
    FINDING = "finding"
    ERROR = "error"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Observation:
    """One finding.

    Attributes:
        rule: Stable id; the rule pages explain it.
        severity: What it leads to.
        confidence: How sure the check is.
        path: Member of the wheel, or empty.
        line: Line in it, from 1; 0 when it concerns the whole file.
        evidence: What was seen, in one line.
        why: Why it matters.
        fix: What the author can do.
        docs: Page of the rule, relative to the documentation.
    """

    rule: str
    severity: Severity
    confidence: Confidence
    path: str
    line: int
    evidence: str
    why: str
    fix: str
    docs: str = ""

    def to_json(self) -> dict[str, Any]:
        """A JSON object with these fields; long or unprintable text is cut and escaped."""
        document = asdict(self)
        for name in ("path", "evidence", "why", "fix"):
            document[name] = _printable(document[name])
        document["docs"] = self.docs or f"reference/vetting-rules#{self.rule}"
        return document

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Observation:
        """The inverse of `to_json`.

        Raises:
            ValueError: Not that shape.
        """
        try:
            names = ("rule", "path", "evidence", "why", "fix", "docs")
            values = {name: str(document[name]) for name in names}
            severity, confidence = Severity(document["severity"]), Confidence(document["confidence"])
            return cls(severity=severity, confidence=confidence, line=int(document["line"]), **values)
        except (KeyError, TypeError) as error:
            raise ValueError(f"no observation: {error}") from error


@dataclass(frozen=True, slots=True)
class Findings:
    """What one run of a check returns: observations, and facts that statements are built from."""

    observations: tuple[Observation, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One check on one wheel: how it ended, what it saw, how long it took (seconds), why it could not
    speak.
    """

    check: str
    version: str
    required: bool
    wheel: str
    outcome: Outcome
    observations: tuple[Observation, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    detail: str = ""
    seconds: float = 0.0

    @property
    def is_conclusive(self) -> bool:
        """Whether the check spoke at all."""
        return self.outcome in {Outcome.PASS, Outcome.FINDING}


def outcome_of(observations: tuple[Observation, ...]) -> Outcome:
    """``finding`` when any observation refuses or asks a person, else ``pass``."""
    grave = {Severity.ERROR, Severity.REVIEW}
    return Outcome.FINDING if any(one.severity in grave for one in observations) else Outcome.PASS


def error(rule: str, evidence: str, *, why: str, fix: str, path: str = "", line: int = 0) -> Observation:
    """An observation that refuses the release."""
    return Observation(rule, Severity.ERROR, Confidence.HIGH, path, line, evidence, why, fix)


def review(rule: str, evidence: str, *, why: str, fix: str, path: str = "", line: int = 0) -> Observation:
    """An observation that asks a person."""
    return Observation(rule, Severity.REVIEW, Confidence.HIGH, path, line, evidence, why, fix)


def warning(rule: str, evidence: str, *, why: str, fix: str, path: str = "", line: int = 0) -> Observation:
    """An observation that is shown to author, reviewer and user."""
    return Observation(rule, Severity.WARNING, Confidence.HIGH, path, line, evidence, why, fix)


def _printable(text: str) -> str:
    cut = text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in cut)
