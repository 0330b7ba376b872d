"""Runs hostile programs, in a sandbox and (as a control, to see that they bite) in a plain process."""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from common.require import require
from envcli_sandbox import (
    Broker,
    Limits,
    NullBroker,
    Outcome,
    Sandbox,
    SandboxCallError,
    SandboxRequest,
    Tier,
    open_sandbox,
    probe,
)
from envcli_sandbox.isolators.process import start_child

HERE = Path(__file__).resolve().parent
GUEST = HERE / "guest"
PROGRAMS = HERE / "programs"
TIERS = (Tier.BASE, Tier.HARD)
SMALL = Limits(memory_bytes=128 << 20, cpu_seconds=20, wall_seconds=20, file_bytes=4 << 20, open_files=64)


class Recorder:
    """An audit sink that keeps what it hears."""

    def __init__(self) -> None:
        """Start empty."""
        self.events: list[dict[str, Any]] = []

    def record(self, event: Mapping[str, Any]) -> None:
        """Keep ``event``."""
        self.events.append(dict(event))

    def named(self, name: str) -> list[dict[str, Any]]:
        """Return the events called ``name``."""
        return [event for event in self.events if event["event"] == name]


@dataclass
class Attempt:
    """What came of one program.

    Attributes:
        evidence: what it brought back; None when it was stopped.
        error: how it was stopped.
        outcome: how its sandbox ended.
        audit: what was recorded.
    """

    evidence: Any
    error: SandboxCallError | None
    outcome: Outcome
    audit: Recorder = field(default_factory=Recorder)

    @property
    def denied_calls(self) -> set[str]:
        """Return the names of the refused system calls."""
        return {event["syscall"] for event in self.audit.named("sandbox.syscall-denied")}


def open_descriptors() -> set[str]:
    """Return the numbers of this process's open descriptors, and one for looking."""
    return {entry.name for entry in Path("/proc/self/fd").iterdir()}


def needs(tier: Tier) -> None:
    """Let the test go on only where the machine has ``tier``."""
    require("linux")
    if tier is Tier.HARD:
        require("bwrap")


def request_for(tier: Tier, tree: Path = PROGRAMS, **changes: Any) -> SandboxRequest:
    """Return a request for exactly ``tier`` with the hostile guest."""
    settings = {"guest": "hostile_guest:serve", "entry": "", "limits": SMALL, "guest_path": GUEST}
    return SandboxRequest(tree=tree, floor=tier, prefer=tier, **{**settings, **changes})


def attack(
    tier: Tier, program: str, params: Mapping[str, Any], *, broker: Broker | None = None, **changes: Any
) -> Attempt:
    """Run one program in a sandbox of its own."""
    audit = Recorder()
    sandbox = open_sandbox(request_for(tier, **changes), broker or NullBroker(), audit)
    return _attempt(sandbox, program, params, audit)


def attack_with_landlock(abi: int, program: str, params: Mapping[str, Any], **changes: Any) -> Attempt:
    """Run one program in the base tier of a kernel whose Landlock is as old as ``abi``."""
    audit, request = Recorder(), request_for(Tier.BASE, **changes)
    child, policy = start_child(request, Tier.BASE, replace(probe(), landlock_abi=abi))
    sandbox = Sandbox(request, Tier.BASE, child, NullBroker(), audit)
    sandbox.start(policy)
    assert f"landlock-{abi}" in sandbox.mechanisms
    return _attempt(sandbox, program, params, audit)


def _attempt(sandbox: Sandbox, program: str, params: Mapping[str, Any], audit: Recorder) -> Attempt:
    evidence, caught = None, None
    with sandbox:
        try:
            evidence = sandbox.call(program, params)
        except SandboxCallError as error:
            caught = error
    return Attempt(evidence, caught, sandbox.outcome, audit)


def attack_unrestricted(program: str, params: Mapping[str, Any], folder: Path, tree: Path = PROGRAMS) -> Any:
    """Run the same program in a plain process, working in ``folder``. Return its evidence or None."""
    code = (
        "import importlib, json, sys; sys.path.append(sys.argv[1]);"
        "print(json.dumps(importlib.import_module(sys.argv[2]).attack(**json.loads(sys.argv[3]))))"
    )
    command = [sys.executable, "-c", code, str(tree), f"hostile_{program}", json.dumps(params)]
    done = subprocess.run(command, capture_output=True, check=False, cwd=folder, timeout=30)
    return json.loads(done.stdout) if done.returncode == 0 else None
