"""The database: one declarative base, reading sessions and short writing transactions.

SQLite upgrades a deferred transaction from reading to writing without waiting, so that concurrent writers fail with
"database is locked". Writers therefore take the lock at the start (``BEGIN IMMEDIATE``); readers never wait for them
because the journal is a write-ahead log. PostgreSQL needs neither and runs the same code.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from flask import Flask
from flask_sqlalchemy_lite import SQLAlchemy
from sqlalchemy import DateTime, Dialect, Engine, MetaData, TypeDecorator, event
from sqlalchemy.engine import Connection
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import DeclarativeBase, Session

from envcli_web.errors import BusyError

WRITE_OPTION = "envcli_write"
LOCK_ATTEMPTS = 4
BUSY_TIMEOUT_MS = 5000

db = SQLAlchemy(session_options={"expire_on_commit": False})


class Base(DeclarativeBase):
    """Base of all models; constraint names are fixed so that migrations can address them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class UtcDateTime(TypeDecorator[datetime]):
    """A point in time, stored in UTC and always returned with its zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - the interface
        """Convert ``value`` to UTC; a value without zone is a mistake of the caller."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a point in time needs its zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - the interface
        """Attach UTC where the database keeps no zone."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def now() -> datetime:
    """Return the present moment in UTC."""
    return datetime.now(UTC)


def _prepare_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # the driver opens no transaction of its own; _begin does
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute("PRAGMA synchronous = NORMAL")
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get(WRITE_OPTION, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def prepare_engine(engine: Engine) -> Engine:
    """Give ``engine`` the transaction rules of this module and return it."""
    if engine.dialect.name == "sqlite":
        _prepare_sqlite(engine)
    return engine


def init_app(app: Flask, url: str) -> None:
    """Connect ``app`` with the database at ``url`` (a SQLAlchemy URL)."""
    options: dict[str, Any] = {"url": url}
    if not url.startswith("sqlite"):
        options["pool_pre_ping"] = True
    app.config["SQLALCHEMY_ENGINES"] = {"default": options}
    db.init_app(app)
    with app.app_context():
        prepare_engine(db.engine)


def _open_for_writing(session: Session) -> None:
    for attempt in range(LOCK_ATTEMPTS):
        try:
            session.connection(execution_options={WRITE_OPTION: True})
        except OperationalError as error:
            session.rollback()
            if attempt == LOCK_ATTEMPTS - 1:
                raise BusyError("The database is busy", remedy="Try again in a moment") from error
            time.sleep(0.05 * 2**attempt)
        else:
            return


@contextmanager
def write() -> Iterator[Session]:
    """Open one short writing transaction: committed at the end of the block, rolled back by an exception.

    Yields:
        The session to write with. Objects of it stay readable after the commit.

    Raises:
        BusyError: the write lock could not be had in time; nothing was changed.
    """
    with db.sessionmaker() as session:
        _open_for_writing(session)
        yield session
        session.commit()
    if db.session.in_transaction():
        db.session.commit()  # it only reads; its next query shall see what was written
