"""Permissions: what asks for a person, whatever the code looks like.

Static rules do not catch a plugin that honestly declares a dangerous permission and then misuses it. So a
first release, a sensitive permission and a wider set of permissions always go to a reviewer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from envcli_policy.permissions import diff_permissions, risk_of
from envcli_policy.security_policy import default_policy
from envcli_sdk import ManifestError, PermissionRequest

from envcli_vetting.errors import ArchiveError, CheckSkippedError
from envcli_vetting.observation import Findings, Observation, review
from envcli_vetting.tree import ReleaseTree


@dataclass(frozen=True)
class PermissionsCheck:
    """See the module."""

    id: ClassVar[str] = "permissions"
    version: ClassVar[str] = "1"
    required: ClassVar[bool] = True
    seconds: ClassVar[float] = 30

    def run(self, tree: ReleaseTree) -> Findings:
        """Compare the manifest's permissions with the policy and with the previous release."""
        try:
            requests = tree.manifest().permissions
        except (ArchiveError, ManifestError) as broken:
            raise CheckSkippedError(f"the manifest cannot be read: {broken}") from broken
        return Findings((*_first_release(tree), *_sensitive(requests), *_wider(tree, requests)))


CHECK = PermissionsCheck()


def _first_release(tree: ReleaseTree) -> Iterator[Observation]:
    if tree.first_release:
        yield review(
            "first-release",
            f"{tree.name} has no promoted release yet",
            why="Nothing is known about this project so far",
            fix="Nothing to do: a reviewer looks at every first release",
        )


def _sensitive(requests: tuple[PermissionRequest, ...]) -> Iterator[Observation]:
    limit = default_policy().human_review_from
    for request in requests:
        risk = risk_of(request)
        if risk.rank >= limit.rank:
            yield review(
                "permission-sensitive",
                f"{request.permission} {request.scope} ({risk}): {request.reason}",
                path="plugin.toml",
                why="With this permission a malicious plugin could do great harm",
                fix="Narrow the scope if the plugin works with less",
            )


def _wider(tree: ReleaseTree, requests: tuple[PermissionRequest, ...]) -> Iterator[Observation]:
    if tree.first_release:
        return
    for request in diff_permissions(tree.previous, requests).added:
        yield review(
            "permission-widened",
            f"{request.permission} {request.scope} is new: {request.reason}",
            path="plugin.toml",
            why="Users agreed to less; a taken-over account often shows itself by asking for more",
            fix="Keep permissions as they are unless a new function needs them",
        )
