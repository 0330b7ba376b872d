"""Everything that crosses the sandbox survives the crossing, and nothing else is believed."""

import contextlib
import json

import pytest
from envcli_sdk import (
    Changes,
    CommandResult,
    CustomCommand,
    Direction,
    EnvironmentScan,
    EnvironmentSync,
    EnvironmentValidation,
    Event,
    Finding,
    Fix,
    ScanResult,
    Secret,
    Severity,
    SyncResult,
    Usage,
    ValidationResult,
    Var,
    WireError,
    wire,
)
from hypothesis import given
from hypothesis import strategies as st

texts = st.text(st.characters(codec="utf-8"), max_size=12)
secrets = st.builds(Secret, texts, st.none() | texts)
named = st.dictionaries(texts, secrets, max_size=3)
changes = st.builds(Changes, named, st.lists(texts, max_size=2).map(tuple))
tuples = st.lists(texts, max_size=3).map(tuple)
variables = st.builds(Var, texts, texts, st.just("e"), st.none() | st.integers(1, 9))
commands = st.one_of(
    st.builds(EnvironmentScan, tuples),
    st.builds(EnvironmentValidation, st.just("e"), st.lists(variables, max_size=3).map(tuple), tuples),
    st.builds(EnvironmentSync, st.sampled_from(Direction), texts, changes, st.booleans()),
    st.builds(CustomCommand, texts, tuples, texts, st.booleans()),
)
fixes = st.none() | st.builds(Fix, st.none() | secrets, texts)
findings = st.builds(Finding, texts, texts, texts, st.sampled_from(Severity), fixes)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
ANSWERS = {
    "scan": (
        EnvironmentScan(()),
        st.builds(ScanResult, st.lists(st.builds(Usage, texts, texts, st.integers())).map(tuple)),
    ),
    "validation": (
        EnvironmentValidation("e", ()),
        st.builds(ValidationResult, st.lists(findings, max_size=3).map(tuple)),
    ),
    "sync": (EnvironmentSync(Direction.pull, "x"), st.builds(SyncResult, named, tuples)),
    "custom": (CustomCommand("x"), st.builds(CommandResult, texts, st.integers(0, 255), json_values)),
}


@given(commands)
def test_commands_survive(command: wire.Command) -> None:
    sent = json.loads(json.dumps(wire.command_to_wire(command)))
    assert wire.command_from_wire(sent) == command


@pytest.mark.parametrize("kind", list(ANSWERS))
@given(data=st.data())
def test_results_survive(kind: str, data: st.DataObject) -> None:
    command, results = ANSWERS[kind]
    result = data.draw(results)
    sent = json.loads(json.dumps(wire.result_to_wire(result)))
    assert wire.result_from_wire(sent, command) == result


@given(texts, st.dictionaries(texts, json_values, max_size=3))
def test_events_survive(name: str, data: dict[str, object]) -> None:
    assert wire.event_from_wire(json.loads(json.dumps(wire.event_to_wire(Event(name, data))))) == Event(
        name, data
    )


@given(json_values, st.sampled_from(list(ANSWERS)))
def test_nonsense_is_refused_and_nothing_else_happens(raw: object, kind: str) -> None:
    for read in (
        wire.command_from_wire,
        wire.event_from_wire,
        lambda value: wire.result_from_wire(value, ANSWERS[kind][0]),
    ):
        with contextlib.suppress(WireError):
            read(raw)


@pytest.mark.parametrize(
    "raw",
    [
        {"kind": "custom", "output": "", "exit_code": 256, "data": None},
        {"kind": "custom", "output": "", "exit_code": True, "data": None},
        {"kind": "custom", "output": 1, "exit_code": 0},
        {"kind": "sync", "variables": {}, "changed": []},
        {"kind": "validation", "findings": []},
    ],
)
def test_a_wrong_answer_to_a_command_is_refused(raw: dict[str, object]) -> None:
    with pytest.raises(WireError):
        wire.result_from_wire(raw, CustomCommand("x"))


def test_a_plugin_must_return_secrets_and_results() -> None:
    with pytest.raises(WireError, match="names to Secret"):
        wire.result_to_wire(SyncResult({"A": "plain"}))  # type: ignore[dict-item]
    with pytest.raises(WireError, match="is no result"):
        wire.result_to_wire("done")  # type: ignore[arg-type]
