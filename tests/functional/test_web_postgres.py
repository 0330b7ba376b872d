"""The same site on PostgreSQL."""

import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from common.postgres import postgres_server
from common.public_tree import PublicTree, digest_of
from common.require import require
from common.site import URL, Site, SiteClient, initialise
from envcli_web.app import create_app
from envcli_web.catalog import search
from envcli_web.config import WebConfig
from envcli_web.database import Base, db, write
from envcli_web.jobs import queue
from envcli_web.jobs.worker import Worker

NAME = "envcli-plugin-vault"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site on PostgreSQL, shared by the tests of this module."""
    require("postgres")
    folder = tmp_path_factory.mktemp("postgres-site")
    (folder / "tree").mkdir()
    with postgres_server() as url, PublicTree(folder / "tree") as tree:
        config = WebConfig(data=folder / "site", url=URL, index_url=tree.url, database=url, testing=True)
        app = create_app(initialise(config))
        yield Site(app, config, tree)
        with app.app_context():
            db.engine.dispose()


def _names(browser: SiteClient, query: str) -> list[str]:
    answer = browser.get("/api/v1/plugins", params={"q": query})
    return [item["name"] for item in answer.json()["plugins"]]


def test_sign_up_search_install_review(site: Site) -> None:
    site.tree.add(NAME, summary="Reads HashiCorp's store", keywords=["secrets"])
    site.tree.add("envcli-plugin-rules", type="validation-rule")
    Worker(site.app, site.config.data).step()
    browser = site.client().sign_up()
    assert _names(browser, "hashi secrets") == [NAME]
    assert _names(browser, "valut") == [NAME]
    assert _names(browser, "'; drop table account; --") == []
    token = browser.create_token(browser.create_publisher())
    wheel = digest_of("envcli_plugin_vault-1.0-py3-none-any.whl")
    assert browser.post_receipt(token, wheel).status_code == 201
    assert browser.post_receipt(token, wheel).status_code == 200
    page = f"/plugins/{NAME}"
    assert browser.post(f"{page}/review", page, stars="5", body="Good").status_code == 302
    assert browser.post(f"{page}/review", page, stars="4", body="Fine").status_code == 302
    assert browser.get(f"/api/v1{page}").json()["rating"] == {"count": 1, "mean": 4.0}
    with site.app.app_context(), write() as session:
        assert search.reindex(session) == 2
    assert _names(browser, "hashi") == [NAME]


def test_the_migrations_make_what_the_models_say(site: Site) -> None:
    with site.app.app_context(), db.engine.connect() as connection:
        context = MigrationContext.configure(connection)
        found = compare_metadata(context, Base.metadata)
    wanted = [item for item in found if "plugin_search" not in str(item)]
    assert wanted == []


def test_limits_hold_between_processes_that_share_the_database(site: Site) -> None:
    other = create_app(site.config)
    clients = [site.client(), SiteClient(URL, httpx.WSGITransport(app=other.wsgi_app))]
    statuses = [clients[at % 2].sign_in("mallory", password="guess").status_code for at in range(12)]
    assert statuses == [401] * 10 + [429] * 2


def test_a_job_goes_to_one_worker(site: Site, tmp_path: Path) -> None:
    with site.app.app_context(), write() as session:
        while queue.lease(session):
            pass
        for _ in range(20):
            queue.enqueue(session, "nothing")
    taken: list[int] = []

    def work() -> None:
        with site.app.app_context():
            while True:
                with write() as session:
                    job = queue.lease(session)
                if job is None:
                    return
                taken.append(job.id)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == len(set(taken)) == 20
