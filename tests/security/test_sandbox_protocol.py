"""A child that does not keep to the protocol: the host believes nothing and ends it."""

import pytest
from envcli_sandbox import (
    NullBroker,
    ProtocolError,
    Sandbox,
    SandboxCallError,
    SandboxTimeoutError,
    Tier,
    open_sandbox,
)
from security.hostile.harness import TIERS, Recorder, needs, open_descriptors, request_for
from security.hostile.programs.hostile_frames import FRAMES


def _open(tier: Tier, audit: Recorder) -> Sandbox:
    needs(tier)
    request = request_for(tier, guest="hostile_guest:serve_raw", entry="frames")
    return open_sandbox(request, NullBroker(), audit)


@pytest.mark.parametrize("frame", sorted(FRAMES))
def test_a_broken_frame_ends_the_child(frame: str) -> None:
    with _open(Tier.BASE, Recorder()) as sandbox, pytest.raises(ProtocolError):
        sandbox.call(frame, {})
    assert sandbox.outcome.killed_by == "protocol"


@pytest.mark.parametrize("tier", TIERS)
def test_garbage_ends_the_child_in_every_tier(tier: Tier) -> None:
    with _open(tier, Recorder()) as sandbox, pytest.raises(ProtocolError):
        sandbox.call("garbage", {})
    assert sandbox.outcome.killed_by == "protocol"


def test_an_end_inside_a_frame_is_told() -> None:
    with _open(Tier.BASE, Recorder()) as sandbox, pytest.raises((ProtocolError, SandboxCallError)):
        sandbox.call("half-a-frame", {})


def test_a_frame_that_never_ends_runs_into_the_time_limit() -> None:
    with _open(Tier.BASE, Recorder()) as sandbox, pytest.raises(SandboxTimeoutError):
        sandbox.call("half-a-frame-and-wait", {}, timeout=0.3)


def test_the_host_accepts_no_descriptors() -> None:
    with _open(Tier.BASE, Recorder()) as sandbox:
        before = open_descriptors()
        assert sandbox.call("pass-descriptors", {}) == "sent"
        assert open_descriptors() == before


def test_a_flood_of_notices_runs_into_the_time_limit() -> None:
    with _open(Tier.BASE, Recorder()) as sandbox, pytest.raises(SandboxTimeoutError):
        sandbox.call("never-read", {}, timeout=0.5)
