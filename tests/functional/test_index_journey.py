"""The way of a release through a real index: upload, vetting, decision, promotion, reading."""

import hashlib

import httpx
from common.index_server import IndexServer, index_server, plugin_wheel

__all__ = ["index_server"]


def test_good_upload_is_staged_and_invisible_until_a_reviewer_approves(index_server: IndexServer) -> None:
    plugin = plugin_wheel()
    answer = index_server.upload(plugin)
    assert answer.status_code == 200, answer.text
    index_server.vet(plugin)
    index_server.wait_state(plugin, "needs-human")
    assert index_server.get_json(f"/simple/{plugin.project}/") is None
    missing = f"{index_server.config.public_url}/files/{plugin.sha256}/{plugin.filename}"
    assert httpx.get(missing).status_code == 404
    assert "accepted" in index_server.decide(plugin)
    index_server.wait_state(plugin, "released")
    entry = index_server.wait_page(plugin)
    assert entry["hashes"]["sha256"] == plugin.sha256
    content = httpx.get(entry["url"]).content
    assert hashlib.sha256(content).hexdigest() == plugin.sha256
