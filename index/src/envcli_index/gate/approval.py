"""Considers one release: what the signed statements say next, until they say nothing more."""

import logging

from envcli_policy.errors import PolicyError
from envcli_policy.statements import PredicateKind, VerifiedStatement
from envcli_policy.vetting import Action, ReleaseState

from envcli_index import queue
from envcli_index.database import write
from envcli_index.gate.context import Gate, GateRefusalError
from envcli_index.gate.evidence import Evidence, collect
from envcli_index.gate.promotion import promote, reload, render, republish
from envcli_index.gate.transitions import GATE, move
from envcli_index.releases import Release

log = logging.getLogger("envcli_index.gate")

VETTING = "vetting"
MAX_STEPS = 8
_VERDICTS = {
    "PASSED": (Action.PASS, "every required check passed"),
    "WARNED": (Action.REFER, "checks passed with observations that a person must judge"),
    "FAILED": (Action.FAIL, "a check found a reason to refuse; see the observations"),
}
_SETTLED = frozenset(
    {ReleaseState.RELEASED, ReleaseState.YANKED, ReleaseState.QUARANTINED, ReleaseState.REMOVED}
)


def consider(gate: Gate, release_id: int) -> ReleaseState:
    """Move a release as far as the statements about it allow, publish the outcome, and return its state.

    Raises:
        IndexServiceError: something failed that may work later; the release stays where it is.
    """
    release = reload(gate, release_id)
    if not release.wheels:  # a source archive waits for its wheel: nothing to vet, to tell or to show
        return release.state
    for _ in range(MAX_STEPS):
        if not _step(gate, release):
            break
        release = reload(gate, release_id)
    if release.state in _SETTLED:
        republish(gate, release)
    render(gate, release.project)
    return release.state


def _step(gate: Gate, release: Release) -> bool:
    """Take one step; return whether there may be another."""
    if release.state is ReleaseState.SUBMITTED:
        return _move(gate, release, Action.START, "the upload was accepted")
    if release.state is ReleaseState.CHECKING:
        return _judge_checks(gate, release)
    if release.state is ReleaseState.NEEDS_HUMAN:
        return _judge_decisions(gate, release)
    if release.state in {ReleaseState.AUTO_APPROVED, ReleaseState.APPROVED}:
        return _promote(gate, release)
    return False


def _judge_checks(gate: Gate, release: Release) -> bool:
    result = _latest(collect(gate, release), PredicateKind.TEST_RESULT, release)
    if result is None:
        with write(gate.engine) as connection:  # the checks have not spoken about every file yet
            queue.enqueue(connection, "vet", {"release": release.id}, f"release-{release.id}")
        return False
    action, reason = _VERDICTS.get(str(result.statement.predicate.get("result")), _VERDICTS["FAILED"])
    if action is Action.PASS and not gate.layout()[0].may_waive(PredicateKind.DECISION):
        action, reason = Action.REFER, "every required check passed; the layout asks for a person's decision"
    return _move(gate, release, action, reason, VETTING)


def _judge_decisions(gate: Gate, release: Release) -> bool:
    evidence = collect(gate, release)
    if _latest(evidence, PredicateKind.TEST_RESULT, release) is None:
        return _move(gate, release, Action.RECHECK, "files were added after the checks")
    decisions = [
        one
        for one in evidence.statements
        if one.kind is PredicateKind.DECISION and _is_about_all(one, release)
    ]
    for decision in sorted(decisions, key=lambda one: one.statement.predicate.get("decision") != "reject"):
        predicate, name = decision.statement.predicate, decision.functionary.name
        if predicate.get("decision") == "reject":
            return _move(gate, release, Action.REJECT, str(predicate.get("reason", "")), name)
        if predicate.get("decision") == "approve":
            return _move(gate, release, Action.APPROVE, str(predicate.get("reason", "")), name)
    return False


def _promote(gate: Gate, release: Release) -> bool:
    evidence = collect(gate, release)
    if _latest(evidence, PredicateKind.TEST_RESULT, release) is None:
        return _move(gate, release, Action.RECHECK, "files were added after the checks")
    try:
        promote(gate, release)
    except (PolicyError, GateRefusalError) as error:
        log.warning("%s stays %s: %s", release.label, release.state, error)
        action = Action.REFER if release.state is ReleaseState.AUTO_APPROVED else Action.REJECT
        return _move(gate, release, action, f"the gate refused: {error}")
    return False


def _latest(evidence: Evidence, kind: PredicateKind, release: Release) -> VerifiedStatement | None:
    found = evidence.covering(kind, release.all_subjects)
    return found[-1] if found and release.subjects else None


def _is_about_all(decision: VerifiedStatement, release: Release) -> bool:
    return set(decision.statement.subjects) == set(release.all_subjects)


def _move(gate: Gate, release: Release, action: Action, reason: str, by: str = GATE) -> bool:
    with write(gate.engine) as connection:
        state = move(gate, connection, release, action, reason, by)
    log.info("%s: %s -> %s (%s, by %s)", release.label, release.state, state, action, by)
    return True
