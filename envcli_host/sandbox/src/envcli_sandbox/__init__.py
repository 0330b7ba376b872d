"""Restricted subprocesses for code that is not trusted.

A *sandbox* is one child process that holds exactly what its request names: a read-only import tree, granted
mounts, a sized scratch folder and one socket to the host. Everything else it may want (variables, network
connections, files picked by pattern, the host's API) it has to ask for, and a :class:`Broker` in the host
decides.

Typical use::

    request = SandboxRequest(tree=plugin_dir, entry="my_plugin:Plugin", guest_path=guest_dir)
    with open_sandbox(request, broker, audit) as sandbox:
        sandbox.call("initialize", {"config": {}})
        result = sandbox.call("execute", {"command": {}})
    print(sandbox.outcome.cpu_seconds)

Names are loaded on first use, so the child, which imports ``envcli_sandbox.runner`` only, stays lean.
"""

import importlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from envcli_sandbox.audit import AuditSink, NullAudit
    from envcli_sandbox.broker import Broker, NetworkConnector, NullBroker, Reply
    from envcli_sandbox.capabilities import Capabilities, Gap, probe
    from envcli_sandbox.errors import (
        ProtocolError,
        SandboxCallError,
        SandboxError,
        SandboxTimeoutError,
        SandboxUnavailableError,
    )
    from envcli_sandbox.outcome import Outcome
    from envcli_sandbox.request import Limits, Mount, SandboxRequest, Tier
    from envcli_sandbox.session import Sandbox, open_sandbox

__all__ = [
    "AuditSink",
    "Broker",
    "Capabilities",
    "Gap",
    "Limits",
    "Mount",
    "NetworkConnector",
    "NullAudit",
    "NullBroker",
    "Outcome",
    "ProtocolError",
    "Reply",
    "Sandbox",
    "SandboxCallError",
    "SandboxError",
    "SandboxRequest",
    "SandboxTimeoutError",
    "SandboxUnavailableError",
    "Tier",
    "open_sandbox",
    "probe",
]

_HOME_OF = {
    "AuditSink": "audit",
    "Broker": "broker",
    "Capabilities": "capabilities",
    "Gap": "capabilities",
    "Limits": "request",
    "Mount": "request",
    "NetworkConnector": "broker",
    "NullAudit": "audit",
    "NullBroker": "broker",
    "Outcome": "outcome",
    "ProtocolError": "errors",
    "Reply": "broker",
    "Sandbox": "session",
    "SandboxCallError": "errors",
    "SandboxError": "errors",
    "SandboxRequest": "request",
    "SandboxTimeoutError": "errors",
    "SandboxUnavailableError": "errors",
    "Tier": "request",
    "open_sandbox": "session",
    "probe": "capabilities",
}


def __getattr__(name: str) -> "Any":
    """Load a public name from its module on first use (PEP 562)."""
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value
