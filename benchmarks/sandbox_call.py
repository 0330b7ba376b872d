"""One cold call of a plugin: in the base tier of the sandbox, beside the same call in a child without restrictions."""

import os
import resource
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import envcli_sandbox
from envcli_sandbox import NullBroker, SandboxRequest, Tier, open_sandbox
from envcli_sandbox.protocol import Channel

from benchmarks.measure import Row, interleaved

ROUNDS = 21
PLUGIN = """
import json
import pluggy

def call(value):
    return json.dumps({"value": value.upper()})
"""
GUEST = """
import importlib

def serve(channel, entry):
    module = importlib.import_module(entry)
    while (call := channel.receive()) is not None:
        channel.answer(call.id, module.call(**call.params))
"""
UNRESTRICTED = """
import sys
sys.path.append(sys.argv[2])
import os, socket
from envcli_sandbox.protocol import Channel
from envcli_sandbox.runner.channel import GuestChannel
from envcli_sandbox.runner.imports import load_function, search_in
from envcli_sandbox.runner.sockets import connect_through
channel = Channel(socket.socket(fileno=int(sys.argv[1])), accepts_fds=True)
policy = channel.receive().message
channel.send({"ready": {}})
search_in(policy["search"])
guest = GuestChannel(channel)
connect_through(guest)
load_function(policy["guest"])(guest, policy["entry"])
os._exit(0)
"""


class NullSink:
    """Forgets every event."""

    def record(self, event: Mapping[str, Any]) -> None:
        """Do nothing with ``event``."""


def run() -> list[Row]:
    """Measure and return the rows of the table."""
    with tempfile.TemporaryDirectory(prefix="envcli-bench-") as name:
        tree = _plugin(Path(name))
        base, plain = interleaved(
            ROUNDS,
            lambda: _cpu(lambda: _sandboxed(tree, Tier.BASE)),
            lambda: _cpu(lambda: _unrestricted(tree)),
        )
    return [
        Row(
            "one cold sandboxed call, base tier, CPU",
            f"{base * 1e3:.1f} ms",
            f"unrestricted child {plain * 1e3:.1f} ms",
            base / plain,
            1.3,
        )
    ]


def _plugin(folder: Path) -> Path:
    import pluggy

    tree = folder / "tree"
    tree.mkdir()
    (tree / "bench_plugin.py").write_text(PLUGIN)
    (tree / "bench_guest.py").write_text(GUEST)
    source = Path(pluggy.__file__).parent
    (tree / "pluggy").mkdir()
    for module in source.glob("*.py"):
        (tree / "pluggy" / module.name).write_bytes(module.read_bytes())
    subprocess.run([sys.executable, "-m", "compileall", "-q", tree], check=True)
    (folder / "unrestricted.py").write_text(UNRESTRICTED)
    return tree


def _cpu(call: Any) -> float:
    """Return the CPU seconds of this process and of the children it waited for during ``call``."""

    def used() -> float:
        kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        return sum(usage.ru_utime + usage.ru_stime for usage in map(resource.getrusage, kinds))

    before = used()
    call()
    return used() - before


def _sandboxed(tree: Path, tier: Tier) -> None:
    request = SandboxRequest(
        tree=tree, entry="bench_plugin", guest="bench_guest:serve", floor=tier, prefer=tier
    )
    with open_sandbox(request, NullBroker(), NullSink()) as sandbox:
        assert sandbox.call("execute", {"value": "a"}) == '{"value": "A"}'


def _unrestricted(tree: Path) -> None:
    ours, theirs = socket.socketpair()
    packages = str(Path(envcli_sandbox.__file__).parent.parent)
    interpreter = str(Path(sys.executable).resolve())
    with theirs:
        process = subprocess.Popen(
            [
                interpreter,
                "-I",
                "-S",
                "-X",
                "utf8",
                tree.parent / "unrestricted.py",
                str(theirs.fileno()),
                packages,
            ],
            stdin=subprocess.DEVNULL,
            pass_fds=(theirs.fileno(),),
            env={"PATH": os.defpath, "LANG": "C.UTF-8"},
        )
    channel = Channel(ours, accepts_fds=True)
    channel.send({"search": [str(tree)], "guest": "bench_guest:serve", "entry": "bench_plugin"})
    channel.receive()
    channel.send({"id": 1, "call": "execute", "params": {"value": "a"}})
    frame = channel.receive()
    assert frame is not None
    assert frame.message["result"] == '{"value": "A"}'
    ours.close()
    process.wait()
