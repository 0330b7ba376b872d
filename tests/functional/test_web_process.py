"""The site as real processes, and its database under real concurrency."""

import subprocess
import threading
from pathlib import Path

import httpx
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from common.public_tree import PublicTree, digest_of
from common.served_site import command, served_site
from common.site import Site, SiteClient
from envcli_web.accounts.models import Account
from envcli_web.database import Base, db, now, write
from envcli_web.errors import WebError
from envcli_web.jobs import queue
from envcli_web.jobs.models import Job
from sqlalchemy import select, text
from sqlalchemy.exc import SQLAlchemyError

pytest_plugins = ("common.site_fixtures",)
NAME = "envcli-plugin-vault"


def test_a_served_site_follows_the_index(tmp_path: Path, tree: PublicTree) -> None:
    tree.add(NAME)
    with served_site(tmp_path / "site", tree.url) as url:
        browser = SiteClient(url)
        for _ in range(100):
            if browser.get(f"/plugins/{NAME}").status_code == 200:
                break
            threading.Event().wait(0.1)
        assert "What envcli-plugin-vault does" in browser.get(f"/plugins/{NAME}").text
        browser.sign_up()
        token = browser.create_token()
        wheel = digest_of("envcli_plugin_vault-1.0-py3-none-any.whl")
        assert browser.post_receipt(token, wheel).status_code == 201
        done = subprocess.run(
            command("admin-code", "--data", str(tmp_path / "site")),
            capture_output=True,
            text=True,
            check=True,
        )
        path = tmp_path / "site/admin-code"
        assert str(path) in done.stdout
        assert path.read_text().strip() not in done.stdout, "the code itself is never printed"
        assert browser.post("/admin/claim", code=path.read_text()).status_code == 302
        again = command("admin-code", "--data", str(tmp_path / "site"), "--unless-claimed")
        assert subprocess.run(again, capture_output=True, text=True, check=True).stdout == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("serve", "--data", "{dir}"), "Create it with: envcli-web init"),
        (
            ("init", "--data", "{dir}", "--url", "ftp://x", "--index-url", "http://y"),
            "not an http or https URL",
        ),
        (("worker",), "Use --data DIR"),
    ],
)
def test_mistakes_are_one_clear_line(tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    filled = [item.replace("{dir}", str(tmp_path / "none")) for item in arguments]
    done = subprocess.run(
        command(*filled), capture_output=True, text=True, timeout=60, check=False, env={"PATH": "/bin"}
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert words in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_the_migrations_make_what_the_models_say(site: Site) -> None:
    with site.app.app_context(), db.engine.connect() as connection:
        found = compare_metadata(MigrationContext.configure(connection), Base.metadata)
    assert [item for item in found if "plugin_search" not in str(item)] == []


def test_many_writers_wait_for_each_other(site: Site) -> None:
    with site.app.app_context(), write() as session:
        session.add(Account(uuid="x", username="ada", username_key="", password_hash="-"))
    problems: list[SQLAlchemyError | WebError] = []

    def count_up() -> None:
        for _ in range(20):
            try:
                with site.app.app_context(), write() as session:
                    row = session.scalars(select(Account)).one()
                    row.username_key = str(int(row.username_key or 0) + 1)
            except (SQLAlchemyError, WebError) as error:
                problems.append(error)

    threads = [threading.Thread(target=count_up) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with site.app.app_context():
        assert problems == []
        assert db.session.scalars(select(Account.username_key)).one() == "120"


def test_a_failed_block_changes_nothing(site: Site) -> None:
    def broken() -> None:
        with write() as session:
            queue.enqueue(session, "x")
            raise RuntimeError

    with site.app.app_context():
        with pytest.raises(RuntimeError):
            broken()
        assert db.session.scalars(select(Job)).all() == []


def test_a_lease_that_runs_out_comes_back(site: Site) -> None:
    with site.app.app_context():
        with write() as session:
            queue.enqueue(session, "x", {"a": 1}, dedupe="x")
            queue.enqueue(session, "x", {"a": 2}, dedupe="x")
        with write() as session:
            first = queue.lease(session)
            assert first
            assert queue.lease(session) is None, "one job, and it is taken"
        with write() as session:
            session.execute(
                text("UPDATE job SET due = :past"), {"past": now().replace(year=2020).isoformat(" ")}
            )
        with write() as session:
            second = queue.lease(session)
            assert second
            assert (second.payload, second.attempts) == ({"a": 1}, 2)
            queue.complete(session, first)
        with write() as session:
            assert queue.list_jobs(session), "the late worker does not remove the job of the other"
            queue.fail(session, second, "broken")
        with write() as session:
            assert queue.lease(session) is None
            assert queue.list_jobs(session)[0].last_error == "broken"


def test_a_job_that_was_given_up_gets_a_new_chance(site: Site) -> None:
    with site.app.app_context():
        with write() as session:
            queue.enqueue(session, "x", dedupe="x")
            session.execute(text("UPDATE job SET attempts = :all"), {"all": queue.MAX_ATTEMPTS})
        with write() as session:
            assert queue.lease(session) is None
            queue.enqueue(session, "x", dedupe="x")
        with write() as session:
            assert queue.lease(session)


def test_the_site_answers_many_at_once(tmp_path: Path, tree: PublicTree) -> None:
    with served_site(tmp_path / "site", tree.url) as url:
        statuses: list[int] = []

        def visit() -> None:
            with httpx.Client(base_url=url, timeout=30) as client:
                statuses.extend(
                    client.get(path).status_code for path in ("/", "/plugins", "/account/sign-up")
                )

        threads = [threading.Thread(target=visit) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert statuses == [200] * 48
