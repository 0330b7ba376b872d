"""Layouts: every step for every file, by whom it must be, saying what it must."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from envcli_policy.errors import MalformedError
from envcli_policy.layout import (
    ConstraintError,
    DisjointError,
    Layout,
    LayoutError,
    StepMissingError,
    default_layout,
    verify_layout,
)
from envcli_policy.statements import Functionary, PredicateKind, Statement, Subject, VerifiedStatement

WHEEL, SOURCE = Subject("a-1.0-py3-none-any.whl", "a" * 64), Subject("a-1.0.tar.gz", "b" * 64)
LAYOUT = Layout.from_json(default_layout())


def made(
    kind: str, role: str, predicate: Mapping[str, Any], *subjects: Subject, by: str = ""
) -> VerifiedStatement:
    who = Functionary(role, by or role, by or role)
    statement = Statement(kind, subjects or (WHEEL, SOURCE), predicate)
    return VerifiedStatement(PredicateKind(kind), statement, who, "0" * 64)


def complete(result: str = "WARNED") -> list[VerifiedStatement]:
    return [
        made("publish", "publisher", {}, WHEEL),
        made("publish", "publisher", {}, SOURCE),
        made("test-result", "vetting", {"result": result}),
        made("capability", "vetting", {"undeclared": []}),
        made("vulns", "vetting", {"scanner": {"result": []}}),
        made("decision", "reviewer", {"decision": "approve"}),
    ]


def test_a_complete_release_satisfies_the_default_layout() -> None:
    verify_layout(LAYOUT, complete(), [WHEEL, SOURCE])


def waiving() -> bytes:
    """The default layout, but for an operator who lets clean passes through."""
    document = json.loads(default_layout())
    document["steps"][4]["unless"] = {"step": "vet", "field": "result", "allowed": ["PASSED"]}
    return json.dumps(document).encode()


def test_a_clean_pass_still_needs_a_decision_by_default() -> None:
    assert not LAYOUT.may_waive(PredicateKind.DECISION)
    with pytest.raises(StepMissingError):
        verify_layout(LAYOUT, complete("PASSED")[:-1], [WHEEL, SOURCE])


def test_an_operator_may_waive_the_decision_after_a_clean_pass() -> None:
    layout = Layout.from_json(waiving())
    assert layout.may_waive(PredicateKind.DECISION)
    assert not layout.may_waive(PredicateKind.PUBLISH)
    verify_layout(layout, complete("PASSED")[:-1], [WHEEL, SOURCE])
    with pytest.raises(StepMissingError):
        verify_layout(layout, complete("WARNED")[:-1], [WHEEL, SOURCE])


@pytest.mark.parametrize("missing", range(6))
def test_no_step_can_be_left_out(missing: int) -> None:
    statements = complete()
    del statements[missing]
    with pytest.raises(StepMissingError):
        verify_layout(LAYOUT, statements, [WHEEL, SOURCE])


@pytest.mark.parametrize("position", range(6))
def test_a_step_by_somebody_else_does_not_count(position: int) -> None:
    statements = complete()
    one = statements[position]
    statements[position] = made(one.kind, "gate", one.statement.predicate, *one.statement.subjects)
    with pytest.raises(StepMissingError):
        verify_layout(LAYOUT, statements, [WHEEL, SOURCE])


@pytest.mark.parametrize(
    "spoilt",
    [
        made("test-result", "vetting", {"result": "FAILED"}),
        made("test-result", "vetting", {}),
        made("test-result", "vetting", {"result": True}),
        made("capability", "vetting", {"undeclared": ["process:spawn"]}),
        made("vulns", "vetting", {"scanner": {"result": [{"id": "CVE-1"}]}}),
        made("vulns", "vetting", {"scanner": "fine"}),
        made("decision", "reviewer", {"decision": "reject"}),
        made("decision", "reviewer", {"decision": "reject"}, by="another reviewer"),
    ],
)
def test_one_bad_word_spoils_it_even_beside_good_ones(spoilt: VerifiedStatement) -> None:
    with pytest.raises(ConstraintError):
        verify_layout(LAYOUT, [*complete(), spoilt], [WHEEL, SOURCE])


def test_other_bytes_under_the_same_name_are_another_file() -> None:
    other = Subject(WHEEL.name, "c" * 64)
    with pytest.raises(StepMissingError):
        verify_layout(LAYOUT, complete(), [other, SOURCE])


def test_nobody_decides_on_their_own_release() -> None:
    statements = complete()
    statements[-1] = made("decision", "reviewer", {"decision": "approve"}, by="publisher")
    with pytest.raises(DisjointError):
        verify_layout(LAYOUT, statements, [WHEEL, SOURCE])


def test_a_threshold_counts_functionaries_not_statements() -> None:
    document = json.loads(default_layout())
    document["steps"][4]["threshold"] = 2
    layout = Layout.from_json(json.dumps(document).encode())
    decision = {"decision": "approve"}
    with pytest.raises(StepMissingError, match="1 of 2"):
        verify_layout(layout, [*complete(), made("decision", "reviewer", decision)], [WHEEL])
    verify_layout(layout, [*complete(), made("decision", "reviewer", decision, by="second")], [WHEEL])


def test_a_release_without_files_shows_nothing() -> None:
    with pytest.raises(LayoutError):
        verify_layout(LAYOUT, complete(), [])


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("version", 2),
        ("steps", []),
        ("steps/0/threshold", 0),
        ("steps/0/threshold", True),
        ("steps/0/functionaries", []),
        ("steps/0/predicate", "weather"),
        ("steps/0/surplus", 1),
        ("steps/1/name", "publish"),
        ("steps/1/constraints/0/allowed", []),
        ("steps/4/unless/step", "nowhere"),
        ("disjoint", [["publish"]]),
        ("disjoint", [["publish", "nowhere"]]),
        ("surplus", 1),
    ],
)
def test_a_layout_with_a_slip_is_refused(path: str, value: Any) -> None:
    document = json.loads(waiving())
    node: Any = document
    *parents, last = path.split("/")
    for part in parents:
        node = node[int(part)] if isinstance(node, list) else node[part]
    node[last] = value
    with pytest.raises(MalformedError):
        Layout.from_json(json.dumps(document).encode())


def test_reviewer_of_the_publisher_is_not_apart_from_it() -> None:
    uuid = "3f0c0b0a-9f2e-4c57-8c6d-1a2b3c4d5e6f"
    statements = complete()
    for position, one in enumerate(statements):
        if one.functionary.role in {"publisher", "reviewer"}:
            who = replace(one.functionary, publishers=(uuid,))
            statements[position] = replace(one, functionary=who)
    with pytest.raises(DisjointError, match=uuid):
        verify_layout(LAYOUT, statements, [WHEEL, SOURCE])
