"""Programs that misbehave without breaking out: the limits hold, and nothing of them is left."""

import os
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from envcli_sandbox import (
    Limits,
    NullBroker,
    Sandbox,
    SandboxCallError,
    SandboxTimeoutError,
    Tier,
    open_sandbox,
)
from security.hostile.harness import HERE, TIERS, Attempt, Recorder, attack, needs, request_for

pytestmark = pytest.mark.parametrize("tier", TIERS)
LIMITS = Limits(cpu_seconds=1, wall_seconds=20, file_bytes=1 << 20, output_bytes=4096)


def _misbehave(tier: Tier, what: str, **changes: object) -> Attempt:
    needs(tier)
    return attack(tier, "behaviour", {"what": what}, **{"limits": LIMITS, **changes})


def _descendants(process: int) -> set[int]:
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    found = {int(child) for child in children}
    return found.union(*(_descendants(child) for child in found))


def _lives(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _wait_until_gone(processes: set[int]) -> bool:
    end = time.monotonic() + 5
    while any(map(_lives, processes)) and time.monotonic() < end:
        time.sleep(0.01)
    return not any(map(_lives, processes))


def _time_out(sandbox: Sandbox, what: str) -> None:
    with pytest.raises(SandboxTimeoutError):
        sandbox.call("behaviour", {"what": what}, timeout=0.4)
    assert sandbox.outcome.killed_by == "wall"


def test_processor_time_ends(tier: Tier) -> None:
    attempt = _misbehave(tier, "spin")
    assert attempt.error is not None
    assert attempt.outcome.killed_by == "cpu"


@pytest.mark.parametrize("what", ["sleep", "sleep_without_pipes"])
def test_wall_time_ends(tier: Tier, what: str) -> None:
    needs(tier)
    begun = time.monotonic()
    with open_sandbox(request_for(tier), NullBroker(), Recorder()) as sandbox:
        _time_out(sandbox, what)
    assert time.monotonic() - begun < 10


def test_nothing_outlives_the_sandbox(tier: Tier) -> None:
    needs(tier)
    others = _descendants(os.getpid())
    with open_sandbox(request_for(tier), NullBroker(), Recorder()) as sandbox:
        started = _descendants(os.getpid()) - others
        assert sandbox.call("behaviour", {"what": "linger"}) == "lingering"
    assert started
    assert _wait_until_gone(started)


def test_nothing_outlives_a_killed_host(tier: Tier) -> None:
    needs(tier)
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]);"
        "from security.hostile.harness import *; from envcli_sandbox import *;"
        "sandbox = open_sandbox(request_for(Tier(sys.argv[2])), NullBroker(), Recorder());"
        "sandbox.call('behaviour', {'what': 'linger'}); print('ready', flush=True);"
        "sandbox.call('behaviour', {'what': 'sleep'})"
    )
    command = [sys.executable, "-c", code, str(HERE.parent.parent), tier.value]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as host:
        assert host.stdout is not None
        assert host.stdout.readline() == "ready\n"
        started = _descendants(host.pid)
        host.send_signal(signal.SIGKILL)
    assert started
    assert _wait_until_gone(started)


def test_output_is_kept_short_and_harmless(tier: Tier) -> None:
    attempt = _misbehave(tier, "flood_output")
    assert attempt.evidence == "flooded"
    assert attempt.outcome.truncated
    assert len(attempt.outcome.stdout) <= LIMITS.output_bytes
    assert not {"\x1b", "\x07", "\u202e"} & set(attempt.outcome.stdout)
    assert attempt.outcome.stderr.startswith("yyy")


def test_the_scratch_folder_has_a_size(tier: Tier) -> None:
    attempt = _misbehave(tier, "fill_with_small_files", scratch_bytes=4 << 20)
    assert attempt.evidence is None
    assert attempt.error is not None
    stopped_by = attempt.outcome.killed_by if tier is Tier.BASE else attempt.error.detail
    assert stopped_by is not None
    assert "scratch" in stopped_by or "No space left" in stopped_by


def test_what_it_leaves_in_scratch_is_removed(
    tier: Tier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    attempt = _misbehave(tier, "nest_folders")
    assert attempt.evidence == "nested"
    assert list(tmp_path.iterdir()) == []


def test_a_crash_is_told(tier: Tier) -> None:
    attempt = _misbehave(tier, "crash")
    assert attempt.error is not None
    assert attempt.error.type_name == "ProcessEnded"
    assert attempt.outcome.killed_by == "SIGSEGV"


def test_leaving_without_an_answer_is_told(tier: Tier) -> None:
    attempt = _misbehave(tier, "leave")
    assert attempt.error is not None
    assert attempt.outcome.exit_status == 3


def test_a_foreign_calling_convention_kills(tier: Tier) -> None:
    if platform.machine() != "x86_64":
        pytest.skip("only x86-64 has a second calling convention")
    attempt = _misbehave(tier, "call_by_foreign_convention")
    assert attempt.outcome.killed_by == "SIGSYS"


def test_refused_calls_are_counted_not_repeated(tier: Tier) -> None:
    attempt = _misbehave(tier, "ask_kernel_often")
    assert attempt.evidence == "asked"
    recorded = [e for e in attempt.audit.named("sandbox.syscall-denied") if e["syscall"] == "ptrace"]
    assert [event["count"] for event in recorded] == [1, 300]


def test_a_closed_sandbox_takes_no_calls(tier: Tier) -> None:
    attempt = _misbehave(tier, "leave")
    assert isinstance(attempt.error, SandboxCallError)
    assert attempt.audit.events[-1]["event"] == "sandbox.closed"
