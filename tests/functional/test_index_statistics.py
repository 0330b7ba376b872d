"""Download counts, from real requests to the page that says how was counted."""

import httpx
from common.index_server import IndexServer, index_server, plugin_wheel
from envcli_index.database import connect
from envcli_index.public.tree import PublicFiles
from envcli_index.statistics import roll_up

__all__ = ["index_server"]


def test_downloads_are_counted_once_a_client_and_day(index_server: IndexServer) -> None:
    plugin = plugin_wheel()
    url = index_server.publish(plugin)["url"]
    for agent in ("pip/26", "pip/26", "uv/0.13"):
        assert httpx.get(url, headers={"User-Agent": agent}).status_code == 200
    httpx.head(url)
    httpx.get(url + ".metadata")
    engine = connect(index_server.config)
    for _ in range(2):
        roll_up(engine, index_server.config, PublicFiles(index_server.config.public))
    page = index_server.get_json("/stats/downloads.json")
    assert page is not None
    counted = page["projects"][plugin.project]
    assert (counted["total"], counted["last_30_days"]) == (2, 2)
    assert "per file, client and day" in counted["how"] or "one per file, client and day" in counted["how"]
    spooled = "".join(path.read_text() for path in index_server.config.downloads.iterdir())
    assert "127.0.0.1" not in spooled
    assert "pip/26" not in spooled
