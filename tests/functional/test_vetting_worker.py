"""The worker on a real index: what is uploaded gets checked, signed, stored, and handed to the gate."""

import json
import signal
import time
from collections.abc import Iterator

import pytest
from common.index_server import IndexServer, plugin_wheel, running_index
from common.simple_index import add_package, simple_index
from envcli_index.database import connect, read
from envcli_index.releases import closure_of, observations_of, statements_of


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("upstream")
    add_package(folder, "leaf", "1.0")
    add_package(folder, "pluggy", "1.6.0")
    with simple_index(folder) as url:
        yield url


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, upstream: str) -> Iterator[IndexServer]:
    data = tmp_path_factory.mktemp("worker") / "data"
    names = ("devpi", "serve", "timestamp", "gate", "worker")
    with running_index(data, *names, upstream_index=upstream) as running:
        yield running


def test_an_upload_is_vetted_and_waits_for_a_person(server: IndexServer) -> None:
    plugin = plugin_wheel(requires=("leaf",))
    assert server.upload(plugin).status_code == 200
    release = server.wait_state(plugin, "needs-human")

    with read(connect(server.config)) as connection:
        stored = {one.name: one for one in statements_of(connection, release.id)}
        closure = closure_of(connection, release.id)
        observed = {one["rule"] for one in observations_of(connection, release.id)}
    assert {"vetting", "capability", "vulns"} <= set(stored)
    assert [one["name"] for one in closure] == ["leaf"]
    assert (server.config.closure / closure[0]["sha256"] / closure[0]["filename"]).is_file()
    assert "first-release" in observed
    envelope = (server.config.statements / stored["vetting"].sha256).read_bytes()
    assert json.loads(envelope)["signatures"][0]["keyid"] == stored["vetting"].keyid


def test_a_vetted_release_goes_the_whole_way(server: IndexServer) -> None:
    plugin = plugin_wheel(requires=("leaf",))
    server.upload(plugin)
    server.wait_state(plugin, "needs-human")
    server.decide(plugin)
    server.wait_state(plugin, "released")
    assert server.wait_page(plugin)["hashes"]["sha256"] == plugin.sha256


def test_a_plugin_that_does_what_it_hides_is_rejected(server: IndexServer) -> None:
    code = b"import subprocess\nclass Plugin:\n    run = subprocess.run\n"
    plugin = plugin_wheel("hides", files={"envcli_plugin_hides/plugin.py": code})
    server.upload(plugin)
    release = server.wait_state(plugin, "rejected")
    with read(connect(server.config)) as connection:
        observed = {(one["rule"], one["line"]) for one in observations_of(connection, release.id)}
    assert ("permission-undeclared", 3) in observed


def test_requirements_that_nobody_offers_reject(server: IndexServer) -> None:
    plugin = plugin_wheel(requires=("absent-package",))
    server.upload(plugin)
    release = server.wait_state(plugin, "rejected")
    with read(connect(server.config)) as connection:
        assert "dependency-unresolvable" in {one["rule"] for one in observations_of(connection, release.id)}


def test_killed_in_the_middle_it_starts_over(server: IndexServer) -> None:
    plugin = plugin_wheel(requires=("leaf",))
    server.upload(plugin)
    time.sleep(1.0)
    server.stop("worker", signal.SIGKILL)
    server.start("worker")
    deadline = time.monotonic() + 90
    while server.release(plugin).state != "needs-human" and time.monotonic() < deadline:
        time.sleep(0.2)
    assert server.release(plugin).state == "needs-human"


def test_it_stops_when_told_and_beats_until_then(server: IndexServer) -> None:
    heartbeat = server.config.run_dir / "worker.heartbeat"
    before = heartbeat.stat().st_mtime
    time.sleep(2.2)
    assert heartbeat.stat().st_mtime > before
    begun = time.monotonic()
    assert server.stop("worker") == 0
    assert time.monotonic() - begun < 5
    server.start("worker")
