"""Limits on how often one address or one name may try something, counted in the site's own database.

The counters must be shared by all processes of the site; the storages that ``limits`` ships need a further server
for that.
"""

import time

from flask import Flask, request
from flask_limiter import Limiter
from limits.storage import Storage
from sqlalchemy import BigInteger, Float, String, delete, select
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Mapped, mapped_column

from envcli_web.database import Base, db, write

SCHEME = "envcli-database"


class RateCounter(Base):
    """How often something was tried in the present window."""

    __tablename__ = "rate_counter"
    key: Mapped[str] = mapped_column(String(400), primary_key=True)
    hits: Mapped[int] = mapped_column(BigInteger)
    expires: Mapped[float] = mapped_column(Float, index=True)


class DatabaseStorage(Storage):
    """Fixed-window counters for ``limits`` in the table ``rate_counter``."""

    STORAGE_SCHEME = [SCHEME]  # noqa: RUF012 - an instance attribute of the library's base class

    @property
    def base_exceptions(self) -> type[Exception] | tuple[type[Exception], ...]:
        """Return the errors that mean that the storage failed."""
        return SQLAlchemyError

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Add ``amount`` to the counter, which lasts ``expiry`` seconds from its first hit, and return it."""
        moment = time.time()
        with write() as session:
            session.execute(delete(RateCounter).where(RateCounter.expires <= moment))
            insert = sqlite_insert if session.get_bind().dialect.name == "sqlite" else postgresql_insert
            statement = insert(RateCounter).values(key=key, hits=amount, expires=moment + expiry)
            counted = statement.on_conflict_do_update(
                index_elements=[RateCounter.key], set_={"hits": RateCounter.hits + amount}
            ).returning(RateCounter.hits)
            return int(session.execute(counted).scalar_one())

    def get(self, key: str) -> int:
        """Return the counter of ``key``, 0 where there is none."""
        found = select(RateCounter.hits).where(RateCounter.key == key, RateCounter.expires > time.time())
        with db.sessionmaker() as session:
            return int(session.execute(found).scalar_one_or_none() or 0)

    def get_expiry(self, key: str) -> float:
        """Return when the window of ``key`` ends, as seconds since the epoch."""
        with db.sessionmaker() as session:
            found = select(RateCounter.expires).where(RateCounter.key == key)
            return float(session.execute(found).scalar_one_or_none() or time.time())

    def check(self) -> bool:
        """Return whether the table can be read."""
        with db.sessionmaker() as session:
            session.execute(select(RateCounter.key).limit(1))
        return True

    def reset(self) -> int | None:
        """Forget all counters."""
        with write() as session:
            session.execute(delete(RateCounter))
        return None

    def clear(self, key: str) -> None:
        """Forget the counter of ``key``."""
        with write() as session:
            session.execute(delete(RateCounter).where(RateCounter.key == key))


def client_address() -> str:
    """Return the address that the request came from (after the trusted proxies)."""
    return request.remote_addr or "unknown"


def form_name() -> str:
    """Return the user name that a form gives, so that one name cannot be tried from many addresses."""
    return request.form.get("username", "").strip().casefold()[:64] or "unknown"


limiter = Limiter(
    key_func=client_address, storage_uri=f"{SCHEME}://", strategy="fixed-window", headers_enabled=True
)


def init_app(app: Flask) -> None:
    """Register the limits on ``app``; ``RATELIMIT_ENABLED`` in its configuration turns them off."""
    limiter.init_app(app)
