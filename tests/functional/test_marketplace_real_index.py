"""The marketplace client against a real index in processes of its own."""

import json
import time
from pathlib import Path

import pytest
from common.index_server import WAIT_SECONDS, IndexServer, index_server, plugin_wheel
from envcli_host.cli.main import main
from envcli_host.config import HostPaths
from envcli_host.errors import TakenDownError, VerificationError
from envcli_host.marketplace.offers import download_offer, find_offer
from envcli_index.reviewer_tools import take_down

__all__ = ["index_server"]

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, index_server: IndexServer, capsys: Capture
) -> HostPaths:
    """A host that trusts the index."""
    monkeypatch.setenv("ENVCLI_HOME", str(tmp_path / "home"))
    url = index_server.config.public_url
    assert main(["index", "add", url, "--root-sha256", index_server.root_sha256, "--name", "real"]) == 0
    capsys.readouterr()
    return HostPaths.from_environment()


def test_what_the_index_released_is_offered_and_fetched(
    index_server: IndexServer, paths: HostPaths, tmp_path: Path
) -> None:
    plugin = plugin_wheel()
    index_server.publish(plugin)

    offer = find_offer(plugin.project, None, paths)
    (wheel,) = download_offer(offer, tmp_path)

    assert (offer.version, offer.wheel.sha256) == (plugin.version, plugin.sha256)
    assert offer.publisher.identity == index_server.issuer.identity()
    assert offer.verdict.reviewed_by == ("Rita Reviewer",)
    assert offer.uploaded is not None
    assert wheel.read_bytes() == plugin.content


def test_search_and_info_read_what_the_index_renders(
    index_server: IndexServer, paths: HostPaths, capsys: Capture
) -> None:
    plugin = plugin_wheel()
    index_server.publish(plugin)

    assert main(["plugin", "search", plugin.project, "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["name"], found["latest"], found["type"]) == (plugin.project, plugin.version, "command")
    assert main(["plugin", "info", plugin.project]) == 0
    shown = capsys.readouterr().out
    assert f"release    {plugin.version} (released" in shown
    assert "PASSED" in shown


def test_a_takedown_by_the_index_reaches_the_host(index_server: IndexServer, paths: HostPaths) -> None:
    plugin = plugin_wheel()
    index_server.publish(plugin)
    find_offer(plugin.project, None, paths)

    take_down(
        index_server.config.public_url,
        index_server.reviewer_key,
        plugin.project,
        reason="it steals variables",
        severity="critical",
        advisory=None,
        remove=True,
    )

    with pytest.raises(TakenDownError, match="it steals variables"):
        offers_until(time.monotonic() + WAIT_SECONDS, plugin.project, paths)


def offers_until(deadline: float, project: str, paths: HostPaths) -> None:
    """Ask again and again until the index answers otherwise or the time is over."""
    while time.monotonic() < deadline:
        find_offer(project, None, paths)
        time.sleep(0.1)


def test_a_file_changed_on_the_server_is_refused(
    index_server: IndexServer, paths: HostPaths, tmp_path: Path
) -> None:
    plugin = plugin_wheel()
    index_server.publish(plugin)
    offer = find_offer(plugin.project, None, paths)
    served = index_server.config.public / "files" / plugin.sha256 / plugin.filename
    original = served.read_bytes()
    served.chmod(0o644)
    served.write_bytes(original[:-1] + b"!")

    try:
        with pytest.raises(VerificationError, match="was verified"):
            download_offer(offer, tmp_path)
    finally:
        served.write_bytes(original)
