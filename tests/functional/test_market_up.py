"""One command runs the whole marketplace, keeps it alive and ends it."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from common.require import require
from common.site import SiteClient

pytestmark = pytest.mark.xdist_group("market")
READY_SECONDS = 150


def command(*arguments: str) -> list[str]:
    return [str(Path(sys.executable).parent / "envcli-market"), *arguments]


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.1)
    return condition()


@dataclass
class Market:
    """A running marketplace."""

    process: subprocess.Popen[str]
    data: Path
    ready: dict[str, Any]

    @property
    def urls(self) -> dict[str, str]:
        return dict(self.ready["urls"])

    def members(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def is_healthy(self, server: str) -> bool:
        path = "/+status" if server == "devpi" else "/healthz"
        try:
            return httpx.get(self.urls[server] + path, timeout=3).status_code == 200
        except httpx.HTTPError:
            return False

    def pid_of(self, part: str) -> int | None:
        """Return the present process of a part, as the supervisor's own log tells it."""
        lines = (self.data.parent / "market.err").read_text().splitlines()
        found = [line for line in lines if f" {part} started, pid " in line]
        return int(found[-1].rsplit(" ", 1)[1]) if found else None


def start(data: Path, *arguments: str) -> Market:
    errors = (data.parent / "market.err").open("a")
    process = subprocess.Popen(
        command("up", "--data", str(data), "--json", *arguments),
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
    )
    assert process.stdout
    line = process.stdout.readline()
    assert line, (data.parent / "market.err").read_text()
    return Market(process, data, json.loads(line))


def stop(market: Market) -> float:
    begin = time.monotonic()
    market.process.send_signal(signal.SIGTERM)
    market.process.wait(15)
    return time.monotonic() - begin


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Market]:
    """A marketplace on random ports, shared by the tests of this module in their order."""
    require("linux")
    running = start(tmp_path_factory.mktemp("market") / "data", "--port-base", "0")
    yield running
    if running.process.poll() is None:
        stop(running)


def test_it_tells_everything_that_one_needs(market: Market) -> None:
    assert set(market.urls) == {"web", "devpi", "public", "authority", "log"}
    assert all(market.is_healthy(server) for server in market.urls)
    root = httpx.get(f"{market.urls['public']}/tuf/metadata/1.root.json")
    import hashlib

    digest = hashlib.sha256(root.content).hexdigest()
    assert market.ready["root_sha256"] == digest
    assert market.ready["index_add"] == f"envcli index add {market.urls['public']} --root-sha256 {digest}"
    assert set(market.ready["pids"]) == {
        "web", "devpi", "public", "authority", "log", "timestamp", "gate", "worker", "web-worker",
    }  # fmt: skip


def test_the_first_administrator_claims_the_code(market: Market) -> None:
    path = Path(market.ready["admin_code_file"])
    assert path.stat().st_mode & 0o777 == 0o600
    browser = SiteClient(market.urls["web"]).sign_up("boss")
    assert browser.post("/admin/claim", code=path.read_text()).status_code == 302
    assert browser.get("/admin").status_code == 200
    assert not path.exists()


def test_every_key_is_a_private_file_of_one_process(market: Market) -> None:
    keys = [
        path
        for place in ("web/keys", "index/keys")
        for path in (market.data / place).rglob("*")
        if path.is_file()
    ]
    assert len(keys) >= 6
    private = [
        path for path in keys if b"PRIVATE" in path.read_bytes() or path.name in {"oidc.json", "form-secret"}
    ]
    assert len(private) >= 6
    assert all(path.stat().st_mode & 0o077 == 0 for path in private)


def test_a_second_supervisor_is_refused(market: Market) -> None:
    done = subprocess.run(
        command("up", "--data", str(market.data)), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert "is running already" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_the_doctor_finds_it_well(market: Market) -> None:
    done = subprocess.run(
        command("doctor", "--data", str(market.data)), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "devpi answers" in done.stdout


@pytest.mark.parametrize("part", ["web", "gate", "log"])
def test_a_killed_child_comes_back(market: Market, part: str) -> None:
    before = market.pid_of(part)
    assert before
    os.kill(before, signal.SIGKILL)
    assert wait_until(lambda: market.pid_of(part) != before)
    if part in market.urls:
        assert wait_until(lambda: market.is_healthy(part))
    else:
        beat = market.data / f"index/run/{part}.heartbeat"
        assert wait_until(lambda: beat.exists() and time.time() - beat.stat().st_mtime < 3)
    assert not psutil.pid_exists(before) or psutil.Process(before).status() == psutil.STATUS_ZOMBIE


@pytest.mark.parametrize("part", ["authority", "timestamp"])
def test_a_child_that_hangs_is_replaced(market: Market, part: str) -> None:
    before = market.pid_of(part)
    assert before
    assert wait_until(lambda: part not in market.urls or market.is_healthy(part))
    time.sleep(3)  # it was seen to be well since its start
    os.kill(before, signal.SIGSTOP)
    try:
        assert wait_until(lambda: market.pid_of(part) != before, 25)
    finally:
        with suppress(ProcessLookupError):
            os.kill(before, signal.SIGCONT)
    assert not psutil.pid_exists(before)


def test_a_copy_of_the_running_marketplace_can_be_started(market: Market, tmp_path: Path) -> None:
    copy, restored = tmp_path / "copy.tar", tmp_path / "restored"
    SiteClient(market.urls["web"]).sign_up("copied")
    done = subprocess.run(
        command("backup", "--data", str(market.data), str(copy)),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert copy.stat().st_mode & 0o777 == 0o600
    done = subprocess.run(
        command("restore", "--data", str(restored), str(copy)),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert stop(market) < 10
    again = start(restored)
    try:
        assert again.ready["root_sha256"] == market.ready["root_sha256"]
        browser = SiteClient(again.urls["web"])
        assert browser.sign_in("copied").status_code == 302
    finally:
        stop(again)


def test_it_ends_cleanly_and_starts_again_with_the_same_identity(market: Market) -> None:
    if market.process.poll() is None:
        stop(market)
    assert market.process.returncode == 0
    assert not any(market.is_healthy(server) for server in market.urls)
    again = start(market.data)
    assert again.urls == market.urls
    assert again.ready["root_sha256"] == market.ready["root_sha256"]
    assert again.ready["admin_code_file"] is None, "there is an administrator"
    members = again.members()
    web, gate = again.pid_of("web"), again.pid_of("gate")
    grandchildren = psutil.Process(web).children()
    assert grandchildren, "the site has worker processes"
    stopped = [*grandchildren, psutil.Process(gate)]  # what hangs notices no end of its parent
    for process in stopped:
        process.suspend()
    again.process.kill()
    again.process.wait()
    gone, alive = psutil.wait_procs(members, timeout=10)
    for process in alive:
        process.kill()
    assert not alive, "everything ends with a supervisor that was killed"
    assert len(gone) >= 11


def test_other_ports_are_refused_once_there_are_identities(market: Market) -> None:
    done = subprocess.run(
        command("up", "--data", str(market.data), "--port-base", "1234"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "its identities contain that URL" in done.stderr


@pytest.mark.parametrize("exists", [True, False])
def test_a_start_that_fails_leaves_nothing_behind(tmp_path: Path, exists: bool) -> None:
    data = tmp_path / "folder/data"
    if exists:
        data.mkdir(parents=True)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = subprocess.run(
            command("up", "--data", str(data), "--port-base", str(port)),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 1
    assert f"Port {port} (web) is in use. Stop the program" in done.stderr
    assert sorted(tmp_path.rglob("*")) == ([data.parent, data] if exists else [])


def test_a_folder_that_cannot_be_made_is_named_with_its_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for data in ("/proc/x", str(tmp_path / "file"), str(tmp_path / "file/data")):
        done = subprocess.run(
            command("up", "--data", data), capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 1
        (line,) = done.stderr.splitlines()
        assert line.startswith(f"error: {data} cannot hold a marketplace: ")
        assert line.endswith("Give --data a directory that can be made and written to")


@pytest.mark.parametrize("host", ["0.0.0.0", "example.org", "192.0.2.1"])
def test_it_listens_on_this_machine_only(tmp_path: Path, host: str) -> None:
    done = subprocess.run(
        command("up", "--data", str(tmp_path / "x"), "--host", host),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "loopback" in done.stderr
    assert not (tmp_path / "x").exists()


def test_a_copy_is_never_restored_over_something(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").touch()
    (tmp_path / "x.tar").touch()
    for data, file in (("full", "x.tar"), ("new", "x.tar"), ("new", "missing.tar")):
        done = subprocess.run(
            command("restore", "--data", str(tmp_path / data), str(tmp_path / file)),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 1
        assert done.stderr.startswith("error: ")
        assert len(done.stderr.strip().splitlines()) == 1
