"""Settings, schema and the one way to write, on SQLite and PostgreSQL."""

import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from alembic import command
from common.ports import free_port
from common.require import postgres_programs, require
from envcli_index import queue
from envcli_index.config import IndexConfig
from envcli_index.credentials import create_credentials, holder_of, read_token
from envcli_index.database import alembic_settings, connect_url, publisher, read, upgrade, write
from envcli_index.errors import ConfigError
from sqlalchemy import Engine, insert, select, text, update
from sqlalchemy.exc import OperationalError


def config(data: Path, **changes: object) -> IndexConfig:
    """Settings of some index."""
    urls = {
        f"{name}_url": f"http://127.0.0.1/{name}" for name in ("public", "devpi", "authority", "log", "web")
    }
    return IndexConfig(data=data, **(urls | changes))  # type: ignore[arg-type]


def test_settings_come_back_as_they_were_saved(tmp_path: Path) -> None:
    saved = config(tmp_path, first_party=tmp_path / 'w"eird', upstream_index="https://pypi.example/simple/")
    saved.save()
    assert IndexConfig.load(tmp_path) == saved


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("", "missing setting"),
        ("public_url = ", "cannot read"),
        ('public_url = "x"\nsurprise = "y"', "unknown setting surprise"),
        ('public_url=1\ndevpi_url="d"\nauthority_url="a"\nlog_url="l"\nweb_url="w"', "must be a string"),
    ],
)
def test_wrong_settings_are_named(tmp_path: Path, text: str, cause: str) -> None:
    (tmp_path / "config.toml").write_text(text)
    with pytest.raises(ConfigError, match=cause):
        IndexConfig.load(tmp_path)


def test_missing_index_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Run envcli-index init"):
        IndexConfig.load(tmp_path / "none")


@pytest.fixture(params=["sqlite", "postgres"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """A migrated database of each kind."""
    if request.param == "postgres":
        url = request.getfixturevalue("postgres_url")
    else:
        url = f"sqlite:///{tmp_path / 'index.db'}"
    made = connect_url(url)
    upgrade(made)
    yield made
    made.dispose()


@pytest.fixture(scope="module")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A PostgreSQL server of its own on a loopback port."""
    require("postgres")
    programs = postgres_programs()
    assert programs is not None
    folder = tmp_path_factory.mktemp("postgres")
    port, data = free_port(), folder / "pg"
    as_user = _unprivileged(folder)
    made = [str(programs / "initdb"), "-D", str(data), "-A", "trust", "-U", "envcli", "--no-sync"]
    subprocess.run([*as_user, *made], check=True, capture_output=True)
    options = ["-p", str(port), "-k", str(data), "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]
    server = subprocess.Popen([*as_user, str(programs / "postgres"), "-D", str(data), *options])
    url = f"postgresql+psycopg://envcli@127.0.0.1:{port}"
    try:
        _wait_for(f"{url}/postgres")
        yield url
    finally:
        server.send_signal(signal.SIGINT)  # do not wait for idle connections
        server.wait(timeout=20)


@pytest.fixture
def postgres_url(postgres_server: str) -> str:
    """An empty database of its own for each test."""
    name = f"t{uuid4().hex}"
    engine = connect_url(f"{postgres_server}/postgres").execution_options(isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"create database {name}"))
    engine.dispose()
    return f"{postgres_server}/{name}"


def _unprivileged(folder: Path) -> list[str]:
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return []
    for parent in (folder, *folder.parents[:3]):
        parent.chmod(0o755)
    shutil.chown(folder, "postgres")
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]


def _wait_for(url: str) -> None:
    for _ in range(600):
        try:
            with connect_url(url).connect():
                return
        except OperationalError:
            time.sleep(0.05)
    pytest.fail("PostgreSQL did not start")


def test_migrations_make_the_schema_of_the_code(engine: Engine) -> None:
    upgrade(engine)
    with engine.connect() as connection:
        settings = alembic_settings()
        settings.attributes["connection"] = connection
        command.check(settings)


def test_times_come_back_aware_and_equal(engine: Engine) -> None:
    moment = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC) + timedelta(microseconds=9)
    row = {"uuid": "u", "name": "n", "identity": "i", "issuer": "s", "created": moment}
    with write(engine) as connection:
        connection.execute(insert(publisher).values(row))
    with read(engine) as connection:
        assert connection.execute(select(publisher.c.created)).scalar_one() == moment


def test_concurrent_writers_that_read_first_lose_nothing(engine: Engine) -> None:
    row = {"uuid": "u", "name": "0", "identity": "i", "issuer": "s"}
    with write(engine) as connection:
        connection.execute(insert(publisher).values(row))

    def count() -> None:
        for _ in range(25):
            with write(engine) as connection:
                query = select(publisher.c.name).where(publisher.c.uuid == "u").with_for_update()
                number = int(connection.execute(query).scalar_one())
                connection.execute(update(publisher).values(name=str(number + 1)))

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with read(engine) as connection:
        assert connection.execute(select(publisher.c.name)).scalar_one() == "100"


def test_queue_works_the_same(engine: Engine) -> None:
    with write(engine) as connection:
        queue.enqueue(connection, "gate", {"release": 1}, "r1")
        queue.enqueue(connection, "gate", {"release": 1}, "r1")
    taken = queue.lease(engine, ["gate"], 10)
    assert taken is not None
    assert dict(taken.payload) == {"release": 1}
    assert queue.lease(engine, ["gate"], 10) is None
    assert queue.release_leases(engine, ["gate"]) == 1
    again = queue.lease(engine, ["gate"], 10)
    assert again is not None
    assert queue.complete(engine, again)


def test_bearer_tokens_name_their_process(tmp_path: Path) -> None:
    create_credentials(tmp_path)
    token = read_token(tmp_path, "gate")
    create_credentials(tmp_path)
    assert read_token(tmp_path, "gate") == token
    assert holder_of(tmp_path, f"Bearer {token}") == "gate"
    for wrong in (None, "", token, f"Basic {token}", f"Bearer {token}x", "Bearer "):
        assert holder_of(tmp_path, wrong) is None
    (tmp_path / "gate.token").chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        read_token(tmp_path, "gate")
