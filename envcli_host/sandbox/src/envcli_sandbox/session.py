"""The host's end of one sandbox: start it, call it, answer what it asks, end it."""

import os
import re
import signal
import threading
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, NoReturn, Self

from envcli_sandbox.audit import AuditSink
from envcli_sandbox.broker import Broker, Reply
from envcli_sandbox.capabilities import Capabilities, probe
from envcli_sandbox.errors import (
    ProtocolError,
    SandboxCallError,
    SandboxError,
    SandboxTimeoutError,
    SandboxUnavailableError,
)
from envcli_sandbox.isolators.child import Child
from envcli_sandbox.isolators.process import check_paths, start_child
from envcli_sandbox.notifications import DeniedCall, Listener
from envcli_sandbox.outcome import Outcome
from envcli_sandbox.output import sanitise
from envcli_sandbox.policy import Policy
from envcli_sandbox.protocol import ChannelClosedError, Frame
from envcli_sandbox.request import SandboxRequest, Tier
from envcli_sandbox.restrictions.syscalls import load_table
from envcli_sandbox.supervisor import Supervisor

_ASK_NAME = re.compile(r"[a-z]{1,32}\.[a-z_]{1,32}")
_LEAVE_SECONDS = 1.0
_DETAIL_CHARACTERS = 2000
_SIGNAL_STATUS = 128
_NOTICES = ("log", "progress")


class Sandbox:
    """One running child. Use it as a context manager; leaving it ends the child and everything it started.

    Attributes:
        tier: the tier in force.
        mechanisms: what enforces it, for the record.
    """

    def __init__(
        self, request: SandboxRequest, tier: Tier, child: Child, broker: Broker, audit: AuditSink
    ) -> None:
        """Take over a started ``child``; :func:`open_sandbox` is the way to get here."""
        self.tier = tier
        self.mechanisms: tuple[str, ...] = ()
        self._limits = request.limits
        self._child = child
        self._broker = broker
        self._audit = audit
        self._recording = threading.Lock()
        self._denied: Counter[DeniedCall] = Counter()
        self._call_id = self._ask_count = 0
        self._call_seconds = 0.0
        self._outcome: Outcome | None = None
        self._supervisor = Supervisor(
            child,
            output_bytes=request.limits.output_bytes,
            scratch_bytes=request.scratch_bytes,
            on_denied=self._count_denied,
        )
        self._supervisor.start()

    def call(self, method: str, params: Mapping[str, Any], timeout: float | None = None) -> Any:
        """Call the guest and return its JSON answer, answering its asks through the broker meanwhile.

        Args:
            method: ``initialize``, ``execute``, ``handle_event`` or ``cleanup``.
            params: JSON object.
            timeout: seconds; ``Limits.wall_seconds`` where None, and never more than that. Whatever the
                broker does counts.

        Raises:
            SandboxCallError: the guest failed, or its process ended.
            SandboxTimeoutError: it took too long and was killed.
            ProtocolError: it sent something that is no frame, and was killed.
        """
        if self._outcome is not None:
            raise SandboxError(f"{method} cannot be called: the sandbox is closed")
        self._call_id += 1
        limit = self._limits.wall_seconds
        self._call_seconds = limit if timeout is None else min(timeout, limit)
        with self._supervisor.within(self._call_seconds):
            try:
                with suppress(ChannelClosedError):  # why the child has gone can still be read
                    self._child.channel.send({"id": self._call_id, "call": method, "params": params})
                while True:
                    frame = self._child.channel.receive()
                    if frame is None:
                        self._raise_ended(method)
                    if self._is_answer(frame):
                        return frame.message["result"]
            except ChannelClosedError:
                self._raise_ended(method)
            except ProtocolError:
                self._raise_distrust(method)
            except (SandboxCallError, SandboxTimeoutError):
                raise
            except BaseException:  # the audit or the caller failed in the middle: the child waits in vain
                self._supervisor.kill("host")
                raise

    @property
    def outcome(self) -> Outcome:
        """How it ended.

        Raises:
            SandboxError: it has not ended yet.
        """
        if self._outcome is None:
            raise SandboxError("the outcome of a sandbox is known when it is closed; close it first")
        return self._outcome

    def close(self) -> None:
        """End the child, killing it where it does not leave by itself; harmless when repeated.

        Raises:
            Exception: what the audit sink raised while the child was watched.
        """
        if self._outcome is not None:
            return
        self._child.measure()
        self._child.channel.shut()
        if not self._child.wait(_LEAVE_SECONDS):
            self._supervisor.kill("closed")
        status = self._child.reap()
        self._supervisor.join()
        self._supervisor.close()
        self._outcome = self._judge(status)
        self._record_end(self._outcome)
        self._child.release()
        if self._supervisor.failure is not None:
            raise self._supervisor.failure

    def __enter__(self) -> Self:
        """Return the sandbox itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the child."""
        self.close()

    def start(self, policy: Policy) -> None:
        """Send the policy and wait until the child has restricted itself.

        Raises:
            SandboxUnavailableError: it could not.
            SandboxTimeoutError: it took too long.
        """
        with self._supervisor.within(self._limits.wall_seconds):
            try:
                self._child.channel.send(policy)
                frame = self._child.channel.receive()
            except (ChannelClosedError, ProtocolError):
                frame = None
        self._child.channel.accepts_fds = False
        if frame is None or "ready" not in frame.message:
            self._raise_not_started(frame)
        self._child.find_innermost()
        self.mechanisms = (*self._child.mechanisms, *frame.message["ready"]["mechanisms"])
        for descriptor in frame.fds:
            self._supervisor.listen(Listener(descriptor, load_table()))

    def record(self, event: Mapping[str, Any]) -> None:
        """Give the audit one event at a time."""
        with self._recording:
            self._audit.record(event)

    def _is_answer(self, frame: Frame) -> bool:
        """Deal with one frame of the child. Return whether it answers the running call.

        Raises:
            SandboxCallError: it says that the call failed.
            ProtocolError: it is nothing the child may send.
        """
        message = frame.message
        if "ask" in message:
            self._answer_ask(message)
            return False
        for kind in _NOTICES:
            if isinstance(message.get(kind), dict):
                self._broker.notice(kind, message[kind])
                return False
        if isinstance(message.get("refused"), str):
            raise SandboxCallError("GuestImportError", _shorten(message["refused"]))
        if message.get("id") != self._call_id:
            raise ProtocolError("an answer belongs to no call")
        if "error" in message:
            raise _call_error(message["error"])
        if "result" not in message:
            raise ProtocolError("a frame is neither an ask nor an answer")
        return True

    def _answer_ask(self, message: Mapping[str, Any]) -> None:
        ask_id, ask, params = message.get("id"), message.get("ask"), message.get("params")
        if type(ask_id) is not int or not isinstance(ask, str) or not isinstance(params, dict):
            raise ProtocolError("an ask needs a number, a name and parameters")
        if not _ASK_NAME.fullmatch(ask):
            raise ProtocolError("an ask has an impossible name")
        self._ask_count += 1
        if self._ask_count > self._limits.asks:
            raise ProtocolError("more asks than a whole life allows")
        reply = self._decide(ask, params)
        try:
            self.record(_asked(ask, reply))
            self._child.channel.send(_reply_frame(ask_id, reply), reply.fds)
        except ProtocolError as error:
            self._child.channel.send(_reply_frame(ask_id, Reply(failed=("TooLarge", str(error)))))
        finally:
            for descriptor in reply.fds:
                os.close(descriptor)

    def _decide(self, ask: str, params: dict[str, Any]) -> Reply:
        try:
            return self._broker.handle(ask, params)
        except Exception as error:  # noqa: BLE001 told to the child by its type, and audited as failed
            return Reply(failed=(type(error).__name__, "the host failed to answer"))

    def _count_denied(self, denied: DeniedCall) -> None:
        """Write down a refused system call when it is the first of its kind, and count the others."""
        self._denied[denied] += 1
        if self._denied[denied] == 1:
            self.record(_denied_event(denied, 1))

    def _record_end(self, outcome: Outcome) -> None:
        for denied, count in self._denied.items():
            if count > 1:
                self.record(_denied_event(denied, count))
        event = {
            "event": "sandbox.closed",
            "exit_status": outcome.exit_status,
            "killed_by": outcome.killed_by,
        }
        self.record({**event, "cpu_seconds": outcome.cpu_seconds, "max_rss_bytes": outcome.max_rss_bytes})

    def _judge(self, status: int) -> Outcome:
        watcher, used = self._supervisor, self._child.used
        if status > _SIGNAL_STATUS and self.tier is Tier.HARD:  # bubblewrap tells a signal the way shells do
            status = _SIGNAL_STATUS - status
        killed_by = watcher.killed_by
        if killed_by is None and status < 0:
            is_cpu = -status == signal.SIGXCPU or used.cpu_seconds >= self._limits.cpu_seconds
            killed_by = "cpu" if is_cpu else _signal_name(-status)
        return Outcome(
            tier=self.tier,
            exit_status=status,
            killed_by=killed_by,
            cpu_seconds=used.cpu_seconds,
            max_rss_bytes=used.max_rss_bytes,
            stdout=watcher.stdout.text,
            stderr=watcher.stderr.text,
            truncated=watcher.stdout.truncated or watcher.stderr.truncated,
        )

    def _raise_ended(self, method: str) -> NoReturn:
        """Explain why the socket ended in the middle of a call."""
        self.close()
        if self._supervisor.killed_by == "wall":
            raise SandboxTimeoutError(
                f"{method} took longer than its time limit of {self._call_seconds:g} seconds and was killed"
            ) from None
        why = self.outcome.killed_by or f"exit status {self.outcome.exit_status}"
        raise SandboxCallError("ProcessEnded", f"the process ended during {method} ({why})") from None

    def _raise_distrust(self, method: str) -> NoReturn:
        """Kill a child that broke the protocol, unless the break only is its end."""
        if self._supervisor.killed_by is not None:
            self._raise_ended(method)
        self._supervisor.kill("protocol")
        self.close()
        raise ProtocolError(f"the plugin broke the protocol during {method} and was killed") from None

    def _raise_not_started(self, frame: Frame | None) -> NoReturn:
        self.close()
        if self._supervisor.killed_by == "wall":
            limit = self._limits.wall_seconds
            raise SandboxTimeoutError(
                f"the sandbox did not start within its time limit of {limit:g} seconds"
            ) from None
        why = frame.message.get("refused") if frame else self.outcome.stderr.strip()
        raise SandboxUnavailableError(f"the {self.tier} tier could not be set up: {_shorten(str(why))}")


def open_sandbox(request: SandboxRequest, broker: Broker, audit: AuditSink) -> Sandbox:
    """Start a child restricted as ``request`` says.

    The kernel kills the child when the thread that called this ends, so open it in the thread that uses it.

    Args:
        request: the grants and limits.
        broker: decides what the child asks for.
        audit: hears of every decision.

    Raises:
        SandboxUnavailableError: this machine cannot give the tier ``request.floor``; nothing was run.
        SandboxError: a path of the request is unfit, or the child could not be started.
    """
    capabilities = probe()
    try:
        tier = choose_tier(request, capabilities)
    except SandboxUnavailableError as error:
        audit.record({"event": "sandbox.refused", "reason": str(error)})
        raise
    check_paths(request)
    try:
        child, policy = start_child(request, tier, capabilities)
    except OSError as error:
        raise SandboxError(
            f"no sandbox could be started: {error.strerror}. Free memory and processes"
        ) from None
    sandbox = Sandbox(request, tier, child, broker, audit)
    try:
        sandbox.start(policy)
        degraded = [
            f"{gap.mechanism}: {gap.reason}" for gap in capabilities.gaps if tier is not request.prefer
        ]
        opened = {"event": "sandbox.opened", "tier": tier.value, "mechanisms": list(sandbox.mechanisms)}
        sandbox.record({**opened, "degraded": degraded, "entry": request.entry})
    except BaseException:
        sandbox.close()
        raise
    return sandbox


def choose_tier(request: SandboxRequest, capabilities: Capabilities) -> Tier:
    """Return the strongest tier that can be had, not above what is preferred and never below the floor.

    Raises:
        SandboxUnavailableError: there is none.
    """
    ceiling = max(request.prefer.strength, request.floor.strength)
    fitting = [t for t in capabilities.tiers if request.floor.strength <= t.strength <= ceiling]
    if fitting:
        return fitting[-1]
    gaps = "; ".join(f"{gap.reason} ({gap.remedy})" for gap in capabilities.gaps)
    raise SandboxUnavailableError(f"the {request.floor} tier is not available, so nothing was run: {gaps}")


def _asked(ask: str, reply: Reply) -> dict[str, Any]:
    verdict, reason = "allowed", ""
    if reply.denied is not None:
        verdict, reason = "denied", reply.denied
    elif reply.failed is not None:
        verdict, reason = "failed", reply.failed[0]
    subject = sanitise(reply.subject)
    return {
        "event": "sandbox.asked",
        "ask": ask,
        "subject": subject,
        "verdict": verdict,
        "reason": sanitise(reason),
    }


def _reply_frame(ask_id: int, reply: Reply) -> dict[str, Any]:
    if reply.denied is not None:
        return {"id": ask_id, "denied": reply.denied}
    if reply.failed is not None:
        return {"id": ask_id, "error": {"type": reply.failed[0], "message": reply.failed[1]}}
    return {"id": ask_id, "result": reply.result}


def _denied_event(denied: DeniedCall, count: int) -> dict[str, Any]:
    event = {"event": "sandbox.syscall-denied", "syscall": denied.name, "count": count}
    return event if denied.family is None else {**event, "family": denied.family}


def _call_error(error: object) -> SandboxCallError:
    if not isinstance(error, dict):
        raise ProtocolError("an error is no JSON object")
    return SandboxCallError(_shorten(str(error.get("type"))), _shorten(str(error.get("message"))))


def _shorten(text: str) -> str:
    return sanitise(text[:_DETAIL_CHARACTERS])


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
