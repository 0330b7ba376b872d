"""Vetting checks for envcli plugins: one engine for the index's worker and for authors' own machines."""

from envcli_vetting.errors import ArchiveError, CheckError, CheckSkippedError, VettingError
from envcli_vetting.observation import CheckResult, Confidence, Observation, Outcome, Severity
from envcli_vetting.report import Verdict, VettingReport
from envcli_vetting.runner import VettingContext, run_checks
from envcli_vetting.tree import Pin

__all__ = [
    "ArchiveError",
    "CheckError",
    "CheckResult",
    "CheckSkippedError",
    "Confidence",
    "Observation",
    "Outcome",
    "Pin",
    "Severity",
    "Verdict",
    "VettingContext",
    "VettingError",
    "VettingReport",
    "run_checks",
]
