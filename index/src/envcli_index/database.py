"""The index's database: tables, connections and the one way to write.

devpi's plugin, the gate and the worker share it. SQLite (WAL) is the embedded default; a PostgreSQL URL works
too. Every write runs in ``write()``, which takes the lock before it reads, because a deferred SQLite
transaction that reads first and writes later fails under concurrency whatever its timeout.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    DateTime,
    Dialect,
    Engine,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    create_engine,
    event,
    text,
)
from sqlalchemy.exc import OperationalError
from sqlalchemy.types import JSON, TypeDecorator

from envcli_index.config import IndexConfig
from envcli_index.errors import StorageError

BUSY_MILLISECONDS = 5_000
WRITE_ATTEMPTS = 6


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC time on every database; SQLite itself would drop the zone."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Store as naive UTC."""
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Read back as aware UTC."""
        return None if value is None else value.replace(tzinfo=UTC)


def utc_now() -> datetime:
    """Return the current time, aware, in UTC."""
    return datetime.now(UTC)


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

publisher = Table(
    "publisher",
    metadata,
    Column("uuid", String(36), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("identity", String(500), nullable=False),
    Column("issuer", String(500), nullable=False),
    Column("created", UtcDateTime, nullable=False, default=utc_now),
)

# A claimed name is never given up: a removed project stays as a tombstone, so nobody can take over its users.
project = Table(
    "project",
    metadata,
    Column("uuid", String(36), primary_key=True),
    Column("name", String(120), nullable=False, unique=True),
    Column("publisher", ForeignKey("publisher.uuid"), nullable=False, index=True),
    Column(
        "status", String(20), nullable=False, default="active"
    ),  # PEP 792: active, quarantined, deprecated, archived
    Column("created", UtcDateTime, nullable=False, default=utc_now),
)

release = Table(
    "release",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("project", ForeignKey("project.uuid"), nullable=False),
    Column("version", String(120), nullable=False),
    Column("state", String(20), nullable=False, index=True),
    Column("reason", Text),  # why the last transition happened, for publisher and reviewer
    Column("uploaded", UtcDateTime, nullable=False, default=utc_now),
    Column("changed", UtcDateTime, nullable=False, default=utc_now),
    Column("promoted", UtcDateTime),
    Column("yanked", Text),  # PEP 592: the reason, or null
    Column("manifest", Text, nullable=False, default=""),
    Column("core_metadata", JSON, nullable=False, default=dict),
    UniqueConstraint("project", "version"),
)

file = Table(
    "file",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("release", ForeignKey("release.id"), nullable=False, index=True),
    Column("filename", String(300), nullable=False, unique=True),
    Column("kind", String(10), nullable=False),  # wheel | sdist (the review source archive)
    Column("sha256", String(64), nullable=False, index=True),
    Column("metadata_sha256", String(64)),
    Column("size", Integer, nullable=False),
    Column("relpath", String(500), nullable=False),  # in devpi: <publisher>/staging/+f/…
    Column("attestations", Text, nullable=False),  # PEP 740 JSON list, as uploaded
    Column("uploaded", UtcDateTime, nullable=False, default=utc_now),
)

# Signed statements about a release; the envelope's bytes are in <data>/statements/<sha256>.
statement = Table(
    "statement",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("release", ForeignKey("release.id"), nullable=False),
    Column(
        "name", String(80), nullable=False
    ),  # vetting, capability, vulns, vsa, decision-<keyid8>, transition-<n>
    Column("predicate_type", String(200), nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("keyid", String(64), nullable=False),
    Column("created", UtcDateTime, nullable=False, default=utc_now),
    UniqueConstraint("release", "name"),
)

observation = Table(
    "observation",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("release", ForeignKey("release.id"), nullable=False, index=True),
    Column("check_id", String(80), nullable=False),
    Column("check_version", String(40), nullable=False),
    Column("rule", String(120), nullable=False),
    Column("severity", String(20), nullable=False),
    Column("confidence", String(20), nullable=False),
    Column("path", Text),
    Column("line", Integer),
    Column("evidence", Text, nullable=False, default=""),
    Column("why", Text, nullable=False, default=""),
    Column("fix", Text, nullable=False, default=""),
    Column("docs", Text, nullable=False, default=""),
)

# Every dependency wheel of a release, the union over its Pythons and platforms.
closure = Table(
    "closure",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("release", ForeignKey("release.id"), nullable=False, index=True),
    Column("name", String(200), nullable=False),
    Column("version", String(120), nullable=False),
    Column("filename", String(300), nullable=False),
    Column("sha256", String(64), nullable=False),
    UniqueConstraint("release", "filename"),
)

# The curated dependency index: what the public tree lists beside the plugins.
dependency = Table(
    "dependency",
    metadata,
    Column("filename", String(300), primary_key=True),
    Column("name", String(200), nullable=False, index=True),
    Column("version", String(120), nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("metadata_sha256", String(64), nullable=False),
    Column("size", Integer, nullable=False),
    Column("requires_python", String(200)),
    Column("first_party", Boolean, nullable=False, default=False),
    Column("uploaded", UtcDateTime, nullable=False, default=utc_now),
)

job = Table(
    "job",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("kind", String(40), nullable=False),
    Column("payload", JSON, nullable=False),
    Column("dedupe", String(200)),
    Column("state", String(10), nullable=False, default="ready"),  # ready | leased | done | dead
    Column("attempts", Integer, nullable=False, default=0),
    Column("available_at", Float, nullable=False),  # seconds since the epoch
    Column("leased_until", Float),  # seconds since the epoch
    Column("lease", String(32)),
    Column("error", Text),
    Column("created", UtcDateTime, nullable=False, default=utc_now),
    Index("ix_job_pick", "kind", "state", "available_at"),
)
Index(
    "uq_job_waiting",
    job.c.kind,
    job.c.dedupe,
    unique=True,
    sqlite_where=job.c.state == "ready",
    postgresql_where=job.c.state == "ready",
)

event_log = Table(
    "event",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("dedupe", String(200), nullable=False, unique=True),  # the same happening is told once
    Column("prev_sha256", String(64), nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("time", UtcDateTime, nullable=False),
    Column("type", String(80), nullable=False),
    Column("subject", String(300), nullable=False),
    Column("envelope", LargeBinary, nullable=False),
)

takedown = Table(
    "takedown",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("project", String(120), nullable=False, index=True),
    Column("versions", JSON, nullable=False),
    Column("sha256", JSON, nullable=False),
    Column("reason", Text, nullable=False),
    Column("severity", String(20), nullable=False),
    Column("advisory", String(80)),
    Column("issued", UtcDateTime, nullable=False),
    Column("keyid", String(64), nullable=False),
    Column("envelope_sha256", String(64), nullable=False, unique=True),
    Column("published", UtcDateTime),
)

reviewer_key = Table(
    "reviewer_key",
    metadata,
    Column("keyid", String(64), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("role", String(20), nullable=False, default="reviewer"),
    Column("public", Text, nullable=False),
    Column("valid_from", UtcDateTime, nullable=False),
    Column("valid_until", UtcDateTime),
    Column("publishers", JSON, nullable=False, default=list),  # whom the reviewer belongs to and cannot judge
)

download_day = Table(
    "download_day",
    metadata,
    Column("project", String(120), primary_key=True),
    Column("day", String(10), primary_key=True),  # ISO date, UTC
    Column("count", Integer, nullable=False),
)


def connect(config: IndexConfig) -> Engine:
    """Return an engine for the index's database; makes no schema.

    Args:
        config: the index's settings.
    """
    return connect_url(config.engine_url)


def connect_url(url: str) -> Engine:
    """Return an engine for a SQLAlchemy URL, with SQLite's transactions taken over from the driver.

    Args:
        url: ``sqlite:///…`` or ``postgresql+psycopg://…``.
    """
    engine = create_engine(url, pool_pre_ping=not url.startswith("sqlite"))
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver must not begin on its own: see _begin_sqlite
    cursor = connection.cursor()
    try:
        cursor.execute(f"PRAGMA busy_timeout = {BUSY_MILLISECONDS:d}")
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute("PRAGMA synchronous = FULL")  # an acknowledged upload survives a power cut
        cursor.execute("PRAGMA foreign_keys = ON")
    finally:
        cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("envcli_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextmanager
def write(engine: Engine) -> Iterator[Connection]:
    """Run the body in one write transaction, committed at its end, rolled back when it raises.

    The write lock is taken at once and retried while others hold it. Keep the body short: no network, no
    hashing.

    Args:
        engine: from ``connect``.

    Raises:
        StorageError: the database stayed locked, or the disk is full.
    """
    with engine.execution_options(envcli_write=True).connect() as connection:
        transaction = _begin(connection)
        try:
            yield connection
            transaction.commit()
        except OperationalError as error:
            transaction.rollback()
            raise _storage_error(error) from error
        except BaseException:
            transaction.rollback()
            raise


def _begin(connection: Connection) -> Any:
    for attempt in range(WRITE_ATTEMPTS):
        try:
            return connection.begin()
        except OperationalError as error:
            if attempt == WRITE_ATTEMPTS - 1 or "locked" not in str(error):
                raise _storage_error(error) from error
            time.sleep(0.05 * 2**attempt)
    raise AssertionError("unreachable")


def _storage_error(error: OperationalError) -> StorageError:
    cause = str(error.orig)
    full = "disk is full" in cause or "No space left" in cause
    remedy = "Free space on the index's disk" if full else "Try again; see the server's log if it lasts"
    return StorageError(f"the index's database refused the write: {cause}", remedy=remedy)


@contextmanager
def read(engine: Engine) -> Iterator[Connection]:
    """Run the body in one read transaction, which sees one state of the database.

    Args:
        engine: from ``connect``.
    """
    with engine.connect() as connection, connection.begin():
        yield connection


def upgrade(engine: Engine) -> None:
    """Bring the schema to the newest migration; safe to call at every start.

    Args:
        engine: from ``connect``.
    """
    from alembic import command

    with engine.connect() as connection:
        settings = alembic_settings()
        settings.attributes["connection"] = connection
        command.upgrade(settings, "head")
        connection.commit()


def alembic_settings() -> Any:
    """Return Alembic's settings for the migrations that ship in this package."""
    from importlib.resources import files

    from alembic.config import Config

    settings = Config()
    settings.set_main_option("script_location", str(files("envcli_index") / "migrations"))
    return settings


def ping(engine: Engine) -> None:
    """Ask the database for a trivial answer, so that a health check can fail early."""
    with read(engine) as connection:
        connection.execute(text("select 1"))
