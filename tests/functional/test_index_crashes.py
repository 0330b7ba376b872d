"""Processes that are killed at any moment: what was accepted is there afterwards, what was not is gone."""

import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from common.index_server import IndexServer, Plugin, automatic_layout, plugin_wheel, running_index
from envcli_index.administration import verify_tree
from envcli_index.database import connect, file, job, read
from sqlalchemy import select


@pytest.fixture
def index(tmp_path: Path) -> Iterator[IndexServer]:
    """An index of its own, since its processes are killed."""
    with running_index(tmp_path / "data") as server:
        yield server


def test_accepted_uploads_survive_kill_9_and_others_leave_nothing(index: IndexServer) -> None:
    plugins = [plugin_wheel() for _ in range(40)]
    prepared = [(plugin, index.attest(plugin)) for plugin in plugins]
    accepted: list[Plugin] = []

    def upload(some: list[tuple[Plugin, str]]) -> None:
        for plugin, attestations in some:
            try:
                answer = index.upload(plugin, attestations=attestations)
            except httpx.TransportError:
                return
            if answer.status_code == 200:
                accepted.append(plugin)

    threads = [threading.Thread(target=upload, args=(prepared[number::4],)) for number in range(4)]
    for thread in threads:
        thread.start()
    while len(accepted) < 8:
        time.sleep(0.005)
    assert index.stop("devpi", signal.SIGKILL) == -signal.SIGKILL
    for thread in threads:
        thread.join()
    index.start("devpi")
    assert {plugin.filename for plugin in accepted} <= recorded(index)
    assert staged(index) == recorded(index)
    for plugin in accepted:
        assert_fetchable_and_queued(index, plugin)
    rest = next(plugin for plugin in plugins if plugin.filename not in recorded(index))
    assert index.upload(rest).status_code == 200


def recorded(index: IndexServer) -> set[str]:
    """File names that the database knows."""
    with read(connect(index.config)) as connection:
        return set(connection.execute(select(file.c.filename)).scalars())


def staged(index: IndexServer) -> set[str]:
    """Names of plugins' wheels that lie in devpi's storage."""
    return {path.name for path in index.config.devpi_dir.rglob("envcli_plugin_*.whl") if path.is_file()}


def assert_fetchable_and_queued(index: IndexServer, plugin: Plugin) -> None:
    """devpi returns the bytes, and a vetting job exists."""
    token = (index.config.credentials / "worker.token").read_text()
    url = f"{index.config.devpi_url}/_/staged/{plugin.project}/{plugin.version}/{plugin.filename}"
    assert httpx.get(url, headers={"Authorization": f"Bearer {token}"}).content == plugin.content
    release = index.release(plugin)
    with read(connect(index.config)) as connection:
        payloads = connection.execute(select(job.c.payload).where(job.c.kind == "vet")).scalars().all()
    assert {"release": release.id} in payloads


def test_gate_killed_again_and_again_promotes_everything_once(index: IndexServer) -> None:
    plugins = [plugin_wheel() for _ in range(6)]
    with automatic_layout(index):
        for plugin in plugins:
            assert index.upload(plugin).status_code == 200
            index.vet(plugin, "PASSED")
        for pause in (0.15, 0.3, 0.45, 0.6):
            time.sleep(pause)
            index.stop("gate", signal.SIGKILL)
            index.start("gate")
        for plugin in plugins:
            index.wait_state(plugin, "released")
            index.wait_page(plugin)
    assert verify_tree(index.config.data) == []
    told = [event for event in index.events() if event["type"] == "release.promoted/1"]
    assert sorted(event["subject"] for event in told) == sorted(
        f"{one.project}=={one.version}" for one in plugins
    )


def test_every_process_ends_in_order_and_in_time(index: IndexServer) -> None:
    for name in ("devpi", "serve", "timestamp", "gate"):
        started = time.monotonic()
        assert index.stop(name) == 0, index.log(name)[-2000:]
        assert time.monotonic() - started < 5, name


def test_gate_waits_for_a_stopped_devpi_and_timestamp(index: IndexServer) -> None:
    plugin = plugin_wheel()
    with automatic_layout(index):
        assert index.upload(plugin).status_code == 200
        index.stop("devpi")
        index.stop("timestamp")
        index.vet(plugin, "PASSED")
        index.wait_state(plugin, "auto-approved")
        time.sleep(1.0)
        assert index.get_json(f"/simple/{plugin.project}/") is None
        index.start("devpi", "timestamp")
        index.wait_state(plugin, "released")
        index.wait_page(plugin)
