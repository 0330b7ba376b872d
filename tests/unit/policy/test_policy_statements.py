"""Statements and key rings: what is signed comes back, and nothing with two readings is accepted."""

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from common.signed_release import key_ring, new_signer, pin
from envcli_policy.errors import MalformedError
from envcli_policy.statements import (
    DECISION,
    KeyRing,
    SignatureError,
    Statement,
    Subject,
    parse_statement,
    sign_statement,
    verify_envelope,
    verify_statement,
)
from envcli_policy.strict_json import format_time, parse_json, parse_time
from hypothesis import given
from hypothesis import strategies as st

NOW = datetime(2026, 5, 1, tzinfo=UTC)
SUBJECT = Subject("a-1.0-py3-none-any.whl", "a" * 64)
STATEMENT = Statement(DECISION, (SUBJECT,), {"decision": "approve"})
SIGNER = new_signer()
KEYS = key_ring(pin(SIGNER, "reviewer", "Rae"))

JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.text(), JSON_VALUES, max_size=5))
def test_a_signed_statement_comes_back(predicate: dict[str, Any]) -> None:
    statement = Statement(DECISION, (SUBJECT,), predicate)
    assert verify_envelope(sign_statement(statement, SIGNER), KEYS, "reviewer", NOW) == statement


def test_the_signer_is_named() -> None:
    verified = verify_statement(sign_statement(STATEMENT, SIGNER), KEYS, ("admin", "reviewer"), NOW)
    assert (verified.functionary.role, verified.functionary.name) == ("reviewer", "Rae")
    assert verified.functionary.identity == SIGNER.public_key.keyid


@given(st.binary(max_size=300))
def test_any_bytes_are_refused_in_good_order(junk: bytes) -> None:
    with pytest.raises(MalformedError):
        parse_statement(junk)


@given(st.integers(min_value=0), st.integers(min_value=0, max_value=7))
def test_no_flipped_bit_of_the_payload_goes_unnoticed(position: int, bit: int) -> None:
    document = json.loads(sign_statement(STATEMENT, SIGNER))
    payload = bytearray(base64.b64decode(document["payload"]))
    payload[position % len(payload)] ^= 1 << bit
    document["payload"] = base64.b64encode(bytes(payload)).decode()
    with pytest.raises((SignatureError, MalformedError)):
        verify_envelope(json.dumps(document).encode(), KEYS, "reviewer", NOW)


def _envelope(**changes: Any) -> bytes:
    return json.dumps(json.loads(sign_statement(STATEMENT, SIGNER)) | changes).encode()


@pytest.mark.parametrize(
    "envelope",
    [
        _envelope(payloadType="text/plain"),
        _envelope(signatures=[]),
        _envelope(signatures=json.loads(_envelope())["signatures"] * 2),
        _envelope(signatures=[{"keyid": "x", "sig": "AA=="}]),
        _envelope(payload="***"),
        _envelope(payload=""),
        _envelope(surplus=1),
    ],
)
def test_an_envelope_of_another_shape_is_refused(envelope: bytes) -> None:
    with pytest.raises(MalformedError):
        verify_envelope(envelope, KEYS, "reviewer", NOW)


@pytest.mark.parametrize(
    "statement",
    [
        Statement("https://example.org/unknown/v1", (SUBJECT,), {}),
        Statement(DECISION, (), {}),
        Statement(DECISION, (SUBJECT, SUBJECT), {}),
        Statement(DECISION, (Subject("x", "A" * 64),), {}),
        Statement(DECISION, (Subject("x", "a" * 63),), {}),
        Statement(DECISION, (Subject("", "a" * 64),), {}),
    ],
)
def test_a_signed_statement_of_another_shape_is_refused(statement: Statement) -> None:
    with pytest.raises(MalformedError):
        verify_envelope(sign_statement(statement, SIGNER), KEYS, "reviewer", NOW)


@pytest.mark.parametrize(
    "entries",
    [
        [pin(SIGNER, "king", "x")],
        [pin(SIGNER, "gate", "x", scheme="rsa")],
        [pin(SIGNER, "gate", "x", keyid="0" * 64)],
        [pin(SIGNER, "gate", "x"), pin(SIGNER, "reviewer", "y")],
        [pin(SIGNER, "gate", "x", valid_from="2020-01-01")],
        [pin(SIGNER, "gate", "x", public="-----BEGIN PUBLIC KEY-----")],
        [pin(SIGNER, "gate", "x", surplus=1)],
    ],
)
def test_a_doubtful_key_list_is_refused(entries: list[dict[str, Any]]) -> None:
    with pytest.raises(MalformedError):
        KeyRing.from_json(json.dumps({"version": 1, "keys": entries}).encode())


@pytest.mark.parametrize(
    "text", ['{"a":1,"a":2}', "NaN", "[Infinity]", "1" * 30, '"\ud800"', "[" * 60 + "]" * 60, "[" * 10**5, ""]
)
def test_json_with_two_readings_is_refused(text: str) -> None:
    with pytest.raises(MalformedError):
        parse_json(text.encode("utf-8", "surrogatepass"), limit=10**6, what="test")


def test_large_documents_are_refused_before_they_are_parsed() -> None:
    with pytest.raises(MalformedError, match="limit"):
        parse_json(b" " * 101, limit=100, what="test")


@given(st.datetimes(timezones=st.just(UTC), min_value=datetime(1, 1, 2), max_value=datetime(9999, 1, 1)))  # noqa: DTZ001
def test_times_survive_to_the_second(moment: datetime) -> None:
    assert parse_time(format_time(moment), "test") == moment.replace(microsecond=0)
