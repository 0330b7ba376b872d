"""The state machine of releases: whatever happens, nothing unchecked is released."""

import pytest
from envcli_policy.vetting import EDGES, Action, ReleaseState, TransitionError, advance, allowed_actions
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

APPROVALS = {Action.PASS, Action.APPROVE}


class Life(RuleBasedStateMachine):
    """Applies any action at any time and remembers what counted."""

    def __init__(self) -> None:
        super().__init__()
        self.state = ReleaseState.SUBMITTED
        self.since_check: list[Action] = []

    @rule(action=st.sampled_from(list(Action)))
    def act(self, action: Action) -> None:
        if action not in allowed_actions(self.state):
            with pytest.raises(TransitionError, match="Possible now"):
                advance(self.state, action)
            return
        self.state = advance(self.state, action)
        self.since_check = [] if self.state is ReleaseState.CHECKING else [*self.since_check, action]

    @invariant()
    def released_only_after_approval_of_these_checks(self) -> None:
        if self.state in {ReleaseState.RELEASED, ReleaseState.YANKED}:
            assert APPROVALS & set(self.since_check)
            assert Action.PROMOTE in self.since_check

    @invariant()
    def never_rejected_and_approved_at_once(self) -> None:
        if self.state is ReleaseState.REJECTED:
            assert self.since_check[-1] in {Action.FAIL, Action.REJECT}


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=200, stateful_step_count=30, deadline=None)


def test_every_state_can_be_reached_and_left() -> None:
    reached = {target for edges in EDGES.values() for target in edges.values()}
    assert reached | {ReleaseState.SUBMITTED} == set(ReleaseState)
    assert all(EDGES[state] for state in ReleaseState)
    assert {action for edges in EDGES.values() for action in edges} == set(Action)


@given(st.sampled_from(list(ReleaseState)))
def test_promotion_needs_an_approval(state: ReleaseState) -> None:
    if state not in {ReleaseState.APPROVED, ReleaseState.AUTO_APPROVED}:
        with pytest.raises(TransitionError):
            advance(state, Action.PROMOTE)
