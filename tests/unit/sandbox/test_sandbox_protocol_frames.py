"""Frames: what is sent arrives, and nothing but frames is accepted."""

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from envcli_sandbox import ProtocolError
from envcli_sandbox.protocol import MAX_FDS, MAX_FRAME_BYTES, Channel, encode_frame, parse_frame
from hypothesis import given
from hypothesis import strategies as st
from security.hostile.harness import open_descriptors

TEXT = st.text(st.characters(exclude_categories=("Cs",)))
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)
OBJECTS = st.dictionaries(TEXT.filter(lambda key: key != "fds"), JSON, max_size=5)


@pytest.fixture
def ends() -> Iterator[tuple[Channel, Channel]]:
    """Give two connected channels; the second accepts descriptors."""
    one, other = socket.socketpair()
    channels = Channel(one), Channel(other, accepts_fds=True)
    yield channels
    for channel in channels:
        channel.close()


@given(OBJECTS)
def test_every_object_comes_back_as_it_was(message: dict[str, Any]) -> None:
    frame = encode_frame(message)
    assert int.from_bytes(frame[:4], "little") == len(frame) - 4
    assert parse_frame(frame[4:]) == message


@given(st.binary(max_size=200))
def test_any_bytes_are_an_object_or_an_error(body: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        assert isinstance(parse_frame(body), dict)


@given(st.lists(OBJECTS, min_size=1, max_size=5), st.lists(st.integers(1, 40), min_size=1, max_size=8))
def test_frames_survive_every_way_of_cutting_the_stream(
    messages: list[dict[str, Any]], cuts: list[int]
) -> None:
    stream = b"".join(map(encode_frame, messages))
    one, other = socket.socketpair()
    sender = threading.Thread(target=_send_in_pieces, args=(one, stream, cuts))
    sender.start()
    channel = Channel(other)
    for message in messages:
        frame = channel.receive()
        assert frame is not None
        assert frame.message == message
    assert channel.receive() is None
    channel.close()
    sender.join()


def _send_in_pieces(sock: socket.socket, stream: bytes, cuts: list[int]) -> None:
    position = 0
    with sock:
        while position < len(stream):
            size = cuts[position % len(cuts)]
            sock.sendall(stream[position : position + size])
            position += size


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"1",
        b"{",
        b'{"a":1}x',
        b'{"a":NaN}',
        b'{"a":-Infinity}',
        b'{"a":1,"a":2}',
        b'{"a":"\\ud800"}',
        b'{"a":"\\uDC00x"}',
        b'{"a":"\xff"}',
        b"[" * 100_000,
        b'{"a":' + b"1" * 5000 + b"}",
    ],
)
def test_a_broken_body_is_refused(body: bytes) -> None:
    with pytest.raises(ProtocolError):
        parse_frame(body)


@pytest.mark.parametrize("message", [{"a": float("nan")}, {"a": object()}, {"a": "\ud800"}, {"a": b"x"}])
def test_what_is_no_json_is_not_sent(message: dict[str, Any]) -> None:
    with pytest.raises(ProtocolError):
        encode_frame(message)


def test_a_frame_has_a_largest_size(ends: tuple[Channel, Channel]) -> None:
    with pytest.raises(ProtocolError, match="in parts"):
        ends[0].send({"a": "x" * MAX_FRAME_BYTES})


def test_a_pair_of_surrogates_is_one_character() -> None:
    assert parse_frame(b'{"a":"\\ud83d\\ude00"}') == {"a": "\U0001f600"}


def test_the_end_between_frames_is_no_error(ends: tuple[Channel, Channel]) -> None:
    ends[0].close()
    assert ends[1].receive() is None


def test_descriptors_arrive_with_their_frame(ends: tuple[Channel, Channel]) -> None:
    readable, writable = os.pipe()
    ends[0].send({"first": 1})
    ends[0].send({"second": 2}, [writable])
    os.close(writable)
    first, second = ends[1].receive(), ends[1].receive()
    assert first is not None
    assert first.fds == ()
    assert second is not None
    os.write(second.fds[0], b"through")
    assert os.read(readable, 16) == b"through"
    assert not os.get_inheritable(second.fds[0])
    for descriptor in (readable, *second.fds):
        os.close(descriptor)


def test_too_many_descriptors_are_refused(ends: tuple[Channel, Channel]) -> None:
    null = os.open("/dev/null", os.O_RDONLY)
    ends[0].send({"a": 1}, [null] * (MAX_FDS + 1))
    os.close(null)
    with pytest.raises(ProtocolError):
        ends[1].receive()


def test_a_side_that_accepts_none_gets_none(ends: tuple[Channel, Channel]) -> None:
    before = len(open_descriptors())
    null = os.open("/dev/null", os.O_RDONLY)
    ends[1].send({"a": 1}, [null])
    os.close(null)
    with pytest.raises(ProtocolError):
        ends[0].receive()
    assert len(open_descriptors()) == before
