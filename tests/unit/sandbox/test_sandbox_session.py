"""One sandbox from the host's side: starting, calling, asking, ending, refusing."""

import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from envcli_sandbox import (
    Broker,
    Capabilities,
    Gap,
    Limits,
    Mount,
    NullBroker,
    Reply,
    Sandbox,
    SandboxCallError,
    SandboxError,
    SandboxRequest,
    SandboxUnavailableError,
    Tier,
    open_sandbox,
    probe,
)
from envcli_sandbox.session import choose_tier
from security.hostile.harness import GUEST, TIERS, Recorder, needs, open_descriptors, request_for

SECRET = "a value nobody may log"
PLUGIN = """
import os, threading
from pathlib import Path

def serve(channel, entry):
    while (call := channel.receive()) is not None:
        try:
            channel.answer(call.id, globals()[call.method](channel, **call.params))
        except Exception as error:
            channel.fail(call.id, type(error).__name__, str(error))

def echo(channel, value): return value
def ask(channel, name, params): return channel.ask(name, params)
def tell(channel): channel.notify({"log": {"level": "info", "message": "hello"}})
def environment(channel): return dict(os.environ)
def read(channel, path): return Path(path).read_text()
def write(channel, path, text): return Path(path).write_text(text)
def where(channel): return [os.getcwd(), os.path.expanduser("~"), oct(os.stat(".").st_mode & 0o777)]
def shadow(channel):
    import json
    return json.__file__
def ask_from_threads(channel, count):
    answers = []
    def one(number): answers.append(channel.ask("variable.read", {"name": str(number)}))
    threads = [threading.Thread(target=one, args=(number,)) for number in range(count)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    return sorted(answers)
def big(channel, size): return "x" * size
"""


class Variables:
    """A broker that answers a few things."""

    def __init__(self) -> None:
        """Start with no notices."""
        self.notices: list[tuple[str, dict[str, Any]]] = []

    def handle(self, ask: str, params: Mapping[str, Any]) -> Reply:
        """Answer by the ask's name."""
        name = str(params.get("name"))
        answers = {
            "variable.read": lambda: Reply(f"value of {name}", subject=name),
            "variable.write": lambda: Reply({}, subject=name),
            "crypto.fail": lambda: Reply(failed=("Broken", "it broke")),
            "file.huge": lambda: Reply("x" * (2 << 20)),
            "api.raise": lambda: {}[name],
        }
        return answers[ask]() if ask in answers else Reply(denied=f"{ask} is not granted", subject=name)

    def notice(self, kind: str, payload: Mapping[str, Any]) -> None:
        """Keep the notice."""
        self.notices.append((kind, dict(payload)))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Give a folder with the plugin."""
    folder = tmp_path / "tree"
    folder.mkdir()
    (folder / "plugin_code.py").write_text(PLUGIN)
    return folder


def _open(tree: Path, broker: Broker | None = None, audit: Recorder | None = None, **changes: Any) -> Sandbox:
    tier = changes.pop("tier", Tier.BASE)
    needs(tier)
    request = request_for(tier, tree, guest="plugin_code:serve", **changes)
    return open_sandbox(request, broker or Variables(), audit or Recorder())


@pytest.mark.parametrize("tier", TIERS)
def test_calls_are_answered_and_the_outcome_told(tree: Path, tier: Tier) -> None:
    audit = Recorder()
    with _open(tree, audit=audit, tier=tier) as sandbox:
        assert sandbox.tier is tier
        for value in (1, "ü", None, [1, {"a": True}]):
            assert sandbox.call("echo", {"value": value}) == value
    outcome = sandbox.outcome
    assert (outcome.tier, outcome.exit_status, outcome.killed_by) == (tier, 0, None)
    assert outcome.max_rss_bytes > 1 << 20
    assert [event["event"] for event in audit.events] == ["sandbox.opened", "sandbox.closed"]


def test_failures_of_the_guest_are_told(tree: Path) -> None:
    with _open(tree) as sandbox:
        with pytest.raises(SandboxCallError) as caught:
            sandbox.call("read", {"path": "absent\x1b[31m"})
        assert caught.value.type_name == "FileNotFoundError"
        assert "\x1b" not in caught.value.detail
        assert sandbox.call("echo", {"value": "still there"}) == "still there"


@pytest.mark.parametrize(
    ("ask", "verdict", "error"),
    [
        ("variable.read", "allowed", None),
        ("network.connect", "denied", "DeniedError"),
        ("crypto.fail", "failed", "AskFailedError"),
        ("api.raise", "failed", "AskFailedError"),
        ("file.huge", "allowed", "AskFailedError"),
    ],
)
def test_every_ask_is_decided_and_recorded(tree: Path, ask: str, verdict: str, error: str | None) -> None:
    audit = Recorder()
    with _open(tree, audit=audit) as sandbox:
        if error is None:
            assert sandbox.call("ask", {"name": ask, "params": {"name": "A"}}) == "value of A"
        else:
            with pytest.raises(SandboxCallError) as caught:
                sandbox.call("ask", {"name": ask, "params": {"name": "A"}})
            assert caught.value.type_name == error
    [asked] = audit.named("sandbox.asked")
    assert (asked["ask"], asked["verdict"]) == (ask, verdict)


def test_no_value_reaches_the_audit(tree: Path) -> None:
    audit = Recorder()
    with _open(tree, audit=audit) as sandbox:
        sandbox.call("ask", {"name": "variable.write", "params": {"name": "A", "value": SECRET}})
        sandbox.call("ask", {"name": "variable.read", "params": {"name": SECRET[:1]}})
    assert SECRET not in str(audit.events)
    assert "value of" not in str(audit.events)


def test_an_audit_that_fails_stops_the_answer(tree: Path) -> None:
    class Full(Recorder):
        def record(self, event: Mapping[str, Any]) -> None:
            if event["event"] == "sandbox.asked":
                raise OSError("the disk is full")

    with _open(tree, audit=Full()) as sandbox, pytest.raises(OSError, match="the disk is full"):
        sandbox.call("ask", {"name": "variable.read", "params": {"name": "A"}})
    assert sandbox.outcome.killed_by == "host"


def test_threads_of_the_guest_may_ask(tree: Path) -> None:
    with _open(tree) as sandbox:
        assert sandbox.call("ask_from_threads", {"count": 8}) == sorted(f"value of {n}" for n in range(8))


def test_notices_reach_the_broker(tree: Path) -> None:
    broker = Variables()
    with _open(tree, broker) as sandbox:
        sandbox.call("tell", {})
    assert broker.notices == [("log", {"level": "info", "message": "hello"})]


@pytest.mark.parametrize("tier", TIERS)
def test_the_environment_is_clean(tree: Path, tier: Tier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    with _open(tree, tier=tier) as sandbox:
        names = set(sandbox.call("environment", {}))
    certificates = {"SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE", "CURL_CA_BUNDLE"}
    assert names - certificates <= {"PATH", "LANG", "MALLOC_ARENA_MAX", "HOME", "TMPDIR", "PWD"}


@pytest.mark.parametrize("tier", TIERS)
def test_mounts_give_what_they_say(tree: Path, tier: Tier, tmp_path: Path) -> None:
    shown, given = tmp_path / "shown", tmp_path / "given"
    for folder in (shown, given):
        folder.mkdir()
        (folder / "file").write_text("there")
    with _open(tree, tier=tier, mounts=(Mount(shown), Mount(given, readonly=False))) as sandbox:
        assert sandbox.call("read", {"path": str(shown / "file")}) == "there"
        sandbox.call("write", {"path": str(given / "file"), "text": "changed"})
        with pytest.raises(SandboxCallError):
            sandbox.call("write", {"path": str(shown / "file"), "text": "changed"})
    assert (given / "file").read_text() == "changed"
    assert (shown / "file").read_text() == "there"


@pytest.mark.parametrize("tier", TIERS)
def test_scratch_is_home_and_private(tree: Path, tier: Tier) -> None:
    with _open(tree, tier=tier) as sandbox:
        here, home, mode = sandbox.call("where", {})
        assert (here, mode) == (home, "0o700")
        assert sandbox.call("write", {"path": "file", "text": "x"}) == 1
    assert not Path(here, "file").exists()


def test_the_tree_cannot_shadow_the_standard_library(tree: Path) -> None:
    (tree / "json.py").write_text("raise SystemExit")
    with _open(tree) as sandbox:
        assert not sandbox.call("shadow", {}).startswith(str(tree))


def test_an_answer_may_be_large_but_not_endless(tree: Path) -> None:
    with _open(tree) as sandbox:
        assert len(sandbox.call("big", {"size": 1_000_000})) == 1_000_000
        with pytest.raises(SandboxCallError):
            sandbox.call("big", {"size": 2_000_000})


@pytest.mark.parametrize("guest", ["absent:serve", "plugin_code:absent", "plugin_code", "broken:serve"])
def test_a_guest_that_cannot_be_imported_is_told(tree: Path, guest: str) -> None:
    (tree / "broken.py").write_text("1 / 0")
    request = request_for(Tier.BASE, tree, guest=guest)
    with (
        open_sandbox(request, NullBroker(), Recorder()) as sandbox,
        pytest.raises(SandboxCallError) as caught,
    ):
        sandbox.call("echo", {"value": 1})
    assert caught.value.type_name == "GuestImportError"


@pytest.mark.parametrize("path", [Path(os.__file__).parent, Path(sys.executable).resolve(), Path("/"), GUEST])
def test_code_is_never_writable(tree: Path, path: Path) -> None:
    with pytest.raises(SandboxError, match="cannot be writable"):
        _open(tree, mounts=(Mount(path, readonly=False),))


@pytest.mark.parametrize("path", [Path("relative"), Path("/absent/folder")])
def test_paths_must_exist(tree: Path, path: Path) -> None:
    with pytest.raises(SandboxError, match="must exist"):
        _open(tree, mounts=(Mount(path),))


GAP = Gap("bubblewrap", "bwrap is not installed", "apt-get install -y bubblewrap")
NO_LANDLOCK = Gap("landlock", "the kernel does not offer Landlock", "boot Linux 5.13")


def _request(floor: Tier, prefer: Tier) -> SandboxRequest:
    return SandboxRequest(tree=Path("/"), entry="", floor=floor, prefer=prefer)


@pytest.mark.parametrize(
    ("floor", "prefer", "bubblewrap", "tier"),
    [
        (Tier.BASE, Tier.HARD, "/usr/bin/bwrap", Tier.HARD),
        (Tier.BASE, Tier.BASE, "/usr/bin/bwrap", Tier.BASE),
        (Tier.BASE, Tier.HARD, None, Tier.BASE),
        (Tier.HARD, Tier.BASE, "/usr/bin/bwrap", Tier.HARD),
    ],
)
def test_the_best_tier_up_to_the_preferred_is_taken(
    floor: Tier, prefer: Tier, bubblewrap: str | None, tier: Tier
) -> None:
    capabilities = Capabilities("x86_64", 7, seccomp=True, bubblewrap=bubblewrap, gaps=())
    assert choose_tier(_request(floor, prefer), capabilities) is tier


@pytest.mark.parametrize(
    ("abi", "seccomp", "bubblewrap", "gap"), [(7, True, None, GAP), (0, True, "/usr/bin/bwrap", NO_LANDLOCK)]
)
def test_less_than_the_floor_is_refused_with_a_remedy(
    abi: int, seccomp: bool, bubblewrap: str | None, gap: Gap
) -> None:
    capabilities = Capabilities("x86_64", abi, seccomp=seccomp, bubblewrap=bubblewrap, gaps=(gap,))
    with pytest.raises(SandboxUnavailableError, match=gap.remedy):
        choose_tier(_request(Tier.HARD, Tier.HARD), capabilities)


def test_a_refusal_is_audited_and_runs_nothing(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = replace(probe(), landlock_abi=0, gaps=(NO_LANDLOCK,))
    monkeypatch.setattr("envcli_sandbox.session.probe", lambda: nothing)
    audit = Recorder()
    with pytest.raises(SandboxUnavailableError):
        _open(tree, audit=audit)
    assert [event["event"] for event in audit.events] == ["sandbox.refused"]


def test_a_missing_tier_is_written_down(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "envcli_sandbox.session.probe", lambda: replace(probe(), bubblewrap=None, gaps=(GAP,))
    )
    audit = Recorder()
    request = replace(request_for(Tier.BASE, tree, guest="plugin_code:serve"), prefer=Tier.HARD)
    with open_sandbox(request, NullBroker(), audit) as sandbox:
        assert sandbox.tier is Tier.BASE
    assert audit.named("sandbox.opened")[0]["degraded"] == ["bubblewrap: bwrap is not installed"]


def test_nothing_is_left_open(tree: Path) -> None:
    with _open(tree) as sandbox:
        sandbox.call("echo", {"value": 1})
    before, threads = len(open_descriptors()), threading.active_count()
    for tier in TIERS:
        with _open(tree, tier=tier) as sandbox:
            sandbox.call("echo", {"value": 1})
    assert len(open_descriptors()) == before
    assert threading.active_count() == threads


def test_what_can_be_seen_here_is_told() -> None:
    capabilities = probe()
    assert capabilities.architecture == os.uname().machine
    assert bool(capabilities.tiers) == bool(capabilities.landlock_abi and capabilities.seccomp)
    assert all(gap.reason and gap.remedy for gap in capabilities.gaps)


def test_the_child_imports_its_package_and_the_standard_library_only() -> None:
    code = (
        "import sys; import envcli_sandbox.runner;"
        "known = sys.stdlib_module_names | {'envcli_sandbox', '__main__'};"
        "print([n for n in sys.modules if n.partition('.')[0] not in known])"
    )
    package = Path(sys.modules["envcli_sandbox"].__file__ or "").parent.parent
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.append({str(package)!r}); {code}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"


def test_a_time_limit_holds_while_starting(tree: Path) -> None:
    (tree / "plugin_code.py").write_text("import time; time.sleep(60)")
    with (
        _open(tree, limits=Limits(wall_seconds=0.5)) as sandbox,
        pytest.raises(SandboxError, match=r"time limit of 0\.5 seconds"),
    ):
        sandbox.call("echo", {"value": 1})
