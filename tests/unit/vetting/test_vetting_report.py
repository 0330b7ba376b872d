"""The verdict: only an explicit pass of every required check approves."""

from datetime import UTC, datetime

import pytest
from envcli_policy.statements import CAPABILITY, TEST_RESULT, VULNS
from envcli_vetting import CheckResult, Confidence, Observation, Outcome, Severity, Verdict, VettingError
from envcli_vetting.check import CHECKS, Check, load_check
from envcli_vetting.report import ACTIONS, VettedFile, VettingReport
from hypothesis import given
from hypothesis import strategies as st

NOW = datetime(2026, 5, 1, tzinfo=UTC)
WHEEL = "a-1.0-py3-none-any.whl"
FACTS = {
    "capability": {"manifest": "x", "manifest_sha256": "y", "observed": [], "undeclared": [], "unused": []},
    "dependencies": {"vulnerabilities": []},
}


def observation(severity: Severity) -> Observation:
    return Observation("rule", severity, Confidence.HIGH, "a.py", 1, "seen", "why", "fix")


def result(check: str, outcome: Outcome = Outcome.PASS, *observations: Observation) -> CheckResult:
    return CheckResult(check, "1", True, WHEEL, outcome, observations, FACTS.get(check, {}))


def report(*results: CheckResult, files: tuple[str, ...] = (WHEEL,)) -> VettingReport:
    return VettingReport(tuple(VettedFile(name, "0" * 64) for name in files), results, NOW, NOW)


def all_but(check: str) -> list[CheckResult]:
    return [result(one) for one in CHECKS if one != check]


def test_every_required_check_passing_approves() -> None:
    assert report(*all_but("")).verdict is Verdict.PASSED


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("outcome", [Outcome.ERROR, Outcome.SKIPPED, None])
def test_a_check_that_did_not_speak_never_approves(check: str, outcome: Outcome | None) -> None:
    results = all_but(check) + ([result(check, outcome)] if outcome else [])
    told = report(*results)
    assert told.verdict is Verdict.INCONCLUSIVE
    assert told.verdict not in ACTIONS
    assert check in told.problems[0]
    with pytest.raises(VettingError):
        told.statements()


def test_every_wheel_must_be_checked() -> None:
    assert report(*all_but(""), files=(WHEEL, "b-1.0-py3-none-any.whl")).verdict is Verdict.INCONCLUSIVE


def test_a_release_without_wheels_is_inconclusive() -> None:
    assert report(files=()).verdict is Verdict.INCONCLUSIVE


@given(st.lists(st.sampled_from(list(Severity)), max_size=5))
def test_the_gravest_observation_decides(severities: list[Severity]) -> None:
    seen = tuple(observation(one) for one in severities)
    told = report(*all_but("bandit"), result("bandit", Outcome.PASS, *seen)).verdict
    if Severity.ERROR in severities:
        assert told is Verdict.FAILED
    elif Severity.REVIEW in severities:
        assert told is Verdict.NEEDS_HUMAN
    else:
        assert told is Verdict.PASSED


def test_an_error_refuses_even_when_other_checks_did_not_run() -> None:
    told = report(result("archive", Outcome.FINDING, observation(Severity.ERROR)))
    assert told.verdict is Verdict.FAILED
    assert [one.predicate_type for one in told.statements()] == [TEST_RESULT]
    assert told.statements()[0].predicate["result"] == "FAILED"


def test_statements_speak_about_every_file() -> None:
    told = report(*all_but(""), files=(WHEEL, "a-1.0.tar.gz"))
    assert [one.predicate_type for one in told.statements()] == [TEST_RESULT, CAPABILITY, VULNS]
    assert all([s.name for s in one.subjects] == [WHEEL, "a-1.0.tar.gz"] for one in told.statements())


def test_wheels_with_different_manifests_are_no_release() -> None:
    other = CheckResult(
        "capability", "1", True, "b", Outcome.PASS, facts=FACTS["capability"] | {"manifest_sha256": "z"}
    )
    with pytest.raises(VettingError, match="manifests"):
        report(*all_but(""), other).statements()


@given(st.builds(Observation, st.text(), st.sampled_from(list(Severity)), st.sampled_from(list(Confidence)),
                 st.text(), st.integers(0, 10**6), st.text(), st.text(), st.text()))  # fmt: skip
def test_observations_travel_and_cannot_steer_a_terminal(one: Observation) -> None:
    document = one.to_json()
    assert Observation.from_json(document).severity is one.severity
    assert document["evidence"].isprintable()
    assert len(document["evidence"]) <= 2000


@pytest.mark.parametrize("check_id", CHECKS)
def test_every_check_keeps_the_interface(check_id: str) -> None:
    check = load_check(check_id)
    assert isinstance(check, Check)
    assert (check.id, check.required) == (check_id, True)
    assert check.run.__doc__
