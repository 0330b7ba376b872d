"""The interface of a check, and the list of those that vet a release."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Protocol, runtime_checkable

from envcli_vetting.observation import Findings
from envcli_vetting.tree import ReleaseTree


@runtime_checkable
class Check(Protocol):
    """One check. It reads the tree and says what it saw; it never imports or runs anything from it.

    Attributes:
        id: Stable name, as in layouts and reports.
        version: Changes whenever the check may judge the same wheel differently.
        required: Whether a release can be approved without its explicit pass.
        seconds: Wall-clock limit.
    """

    id: str
    version: str
    required: bool
    seconds: float

    def run(self, tree: ReleaseTree) -> Findings:
        """Check one wheel.

        Raises:
            CheckSkippedError: Something it needs is missing; never approves.
            CheckError: It broke down; never approves.
        """
        ...


CHECKS: Mapping[str, str] = {
    "archive": "envcli_vetting.checks.archive",
    "metadata": "envcli_vetting.checks.metadata",
    "permissions": "envcli_vetting.checks.permissions",
    "capability": "envcli_vetting.checks.capability",
    "bandit": "envcli_vetting.checks.bandit",
    "dependencies": "envcli_vetting.checks.dependencies",
}
"""Every check by id, in the order in which they run; the archive check opens the way for the others."""


def load_check(check_id: str) -> Check:
    """The check of that id."""
    check: Check = import_module(CHECKS[check_id]).CHECK
    return check
