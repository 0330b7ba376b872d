"""The life of a release as a state machine.

::

    submitted -> checking -> auto-approved -> released -> yanked | quarantined | removed
                          -> needs-human  -> approved -> released
                          -> rejected

Every edge is one `Action`. There is no edge from anything unchecked to ``released``, and a check that errs or
is skipped has no action: the release stays in ``checking`` until the checks speak.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from envcli_policy.errors import PolicyError


class TransitionError(PolicyError):
    """The action is not possible in this state."""

    rule = "transition-refused"


class ReleaseState(StrEnum):
    """Where a release stands."""

    SUBMITTED = "submitted"
    CHECKING = "checking"
    AUTO_APPROVED = "auto-approved"
    NEEDS_HUMAN = "needs-human"
    REJECTED = "rejected"
    APPROVED = "approved"
    RELEASED = "released"
    YANKED = "yanked"
    QUARANTINED = "quarantined"
    REMOVED = "removed"


class Action(StrEnum):
    """What moves a release; the comment names who may."""

    START = "start"  # the worker takes the release up
    PASS = "pass"  # noqa: S105 every required check passed and no rule asks for a person
    REFER = "refer"  # checks passed, a rule asks for a person; or a person stops an automatic approval
    FAIL = "fail"  # a check found a reason to refuse
    APPROVE = "approve"  # a reviewer
    REJECT = "reject"  # a reviewer
    RECHECK = "recheck"  # an appeal was heard, or checks and closure changed: all checks run again
    PROMOTE = "promote"  # the gate, after the layout was verified
    YANK = "yank"  # the publisher: no new resolution, exact pins still work (PEP 592)
    UNYANK = "unyank"
    QUARANTINE = "quarantine"  # the index: nobody gets it while it is looked into
    REMOVE = "remove"  # the index: gone for good, its digest stays taken down
    RESTORE = "restore"  # the index takes a quarantine or a removal back


_S, _A = ReleaseState, Action

EDGES: Mapping[ReleaseState, Mapping[Action, ReleaseState]] = {
    _S.SUBMITTED: {_A.START: _S.CHECKING},
    _S.CHECKING: {_A.PASS: _S.AUTO_APPROVED, _A.REFER: _S.NEEDS_HUMAN, _A.FAIL: _S.REJECTED},
    _S.AUTO_APPROVED: {_A.PROMOTE: _S.RELEASED, _A.REFER: _S.NEEDS_HUMAN, _A.RECHECK: _S.CHECKING},
    _S.NEEDS_HUMAN: {_A.APPROVE: _S.APPROVED, _A.REJECT: _S.REJECTED, _A.RECHECK: _S.CHECKING},
    _S.REJECTED: {_A.RECHECK: _S.CHECKING},
    _S.APPROVED: {_A.PROMOTE: _S.RELEASED, _A.REJECT: _S.REJECTED, _A.RECHECK: _S.CHECKING},
    _S.RELEASED: {_A.YANK: _S.YANKED, _A.QUARANTINE: _S.QUARANTINED, _A.REMOVE: _S.REMOVED},
    _S.YANKED: {_A.UNYANK: _S.RELEASED, _A.QUARANTINE: _S.QUARANTINED, _A.REMOVE: _S.REMOVED},
    _S.QUARANTINED: {_A.RESTORE: _S.RELEASED, _A.REMOVE: _S.REMOVED},
    _S.REMOVED: {_A.RESTORE: _S.QUARANTINED},
}
"""Every edge there is. A removal is taken back into quarantine, never straight into the hands of users."""

INSTALLABLE = frozenset({ReleaseState.RELEASED, ReleaseState.YANKED})
"""States in which a host may install: a yanked release only by exact version."""


def advance(state: ReleaseState, action: Action) -> ReleaseState:
    """Return the state after `action`.

    Raises:
        TransitionError: `state` has no such edge.
    """
    following = EDGES[state].get(action)
    if following is None:
        possible = ", ".join(allowed_actions(state)) or "nothing"
        raise TransitionError(
            f"cannot {action} a release that is {state}", remedy=f"Possible now: {possible}"
        )
    return following


def allowed_actions(state: ReleaseState) -> tuple[Action, ...]:
    """The actions that `state` allows, in declaration order."""
    return tuple(EDGES[state])
