"""Vetting checks for envcli plugins: one engine for the index's worker and for authors' own machines.

Names are loaded on first use, because every check starts in a fresh process.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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

_MODULES = {
    "ArchiveError": "errors",
    "CheckError": "errors",
    "CheckSkippedError": "errors",
    "VettingError": "errors",
    "CheckResult": "observation",
    "Confidence": "observation",
    "Observation": "observation",
    "Outcome": "observation",
    "Severity": "observation",
    "Verdict": "report",
    "VettingReport": "report",
    "VettingContext": "runner",
    "run_checks": "runner",
    "Pin": "tree",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
