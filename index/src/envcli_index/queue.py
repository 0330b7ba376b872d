"""Jobs in the index's database: leased rows, delivered at least once.

A job is enqueued in the transaction that makes it necessary, so an accepted upload and its vetting job exist
together or not at all. A process that dies leaves a lease that runs out; handlers must therefore be
idempotent.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, Engine, and_, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError

from envcli_index.database import job as table
from envcli_index.database import write

MAX_ATTEMPTS = 8
FIRST_RETRY_SECONDS = 1.0
LONGEST_RETRY_SECONDS = 300.0


@dataclass(frozen=True)
class Job:
    """A leased job.

    Attributes:
        id: row id.
        kind: ``vet``, ``gate``, ``takedown`` or ``publish-keys``.
        payload: what to do; plain JSON.
        attempts: how often it was leased, this time included.
        lease: proof of the lease; a job taken over by another process refuses the old one.
    """

    id: int
    kind: str
    payload: Mapping[str, Any]
    attempts: int
    lease: str


def enqueue(
    connection: Connection,
    kind: str,
    payload: Mapping[str, Any],
    dedupe: str | None = None,
    *,
    delay: float = 0.0,
) -> None:
    """Add a job within the caller's write transaction.

    Args:
        connection: from ``database.write``.
        kind: who takes it.
        payload: plain JSON.
        dedupe: while a job of this kind and key waits, another is not added; one that is already being worked
            on does not count, since it may have read the state before the change.
        delay: seconds to wait before it may be taken.
    """
    row = {
        "kind": kind,
        "payload": dict(payload),
        "dedupe": dedupe,
        "state": "ready",
        "available_at": time.time() + delay,
    }
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    connection.execute(dialect.insert(table).values(row).on_conflict_do_nothing())


def lease(engine: Engine, kinds: Sequence[str], seconds: float) -> Job | None:
    """Take the oldest job of the given kinds for some seconds, or return ``None`` when there is none.

    Args:
        engine: from ``database.connect``.
        kinds: the kinds that the caller handles.
        seconds: after this the job may be taken by another process; ``renew`` prolongs it.
    """
    now = time.time()
    waiting = and_(table.c.state == "ready", table.c.available_at <= now)
    abandoned = and_(table.c.state == "leased", table.c.leased_until < now)
    pick = (
        select(table)
        .where(table.c.kind.in_(kinds), or_(waiting, abandoned))
        .order_by(table.c.available_at, table.c.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    with engine.connect() as connection:  # an idle look takes no write lock
        if connection.execute(pick.with_only_columns(table.c.id)).first() is None:
            return None
    with write(engine) as connection:
        row = connection.execute(pick).mappings().first()
        if row is None:
            return None
        token, attempts = uuid4().hex, row["attempts"] + 1
        state = {"state": "leased", "lease": token, "leased_until": now + seconds, "attempts": attempts}
        connection.execute(update(table).where(table.c.id == row["id"]).values(state))
    return Job(row["id"], row["kind"], row["payload"], attempts, token)


def renew(engine: Engine, job: Job, seconds: float) -> bool:
    """Prolong a lease from now on; return ``False`` when another process has taken the job meanwhile."""
    with write(engine) as connection:
        changed = connection.execute(_held(job).values(leased_until=time.time() + seconds))
        return changed.rowcount == 1


def release_leases(engine: Engine, kinds: Sequence[str]) -> int:
    """Let every lease of these kinds run out now; for the only process that takes them, when it starts.

    Returns:
        How many jobs an earlier process left.
    """
    with write(engine) as connection:
        left = update(table).where(table.c.kind.in_(kinds), table.c.state == "leased")
        return connection.execute(left.values(leased_until=0.0)).rowcount


def complete(engine: Engine, job: Job) -> bool:
    """Mark a job as done; return ``False`` when another process has taken it meanwhile."""
    with write(engine) as connection:
        return complete_in(connection, job)


def complete_in(connection: Connection, job: Job) -> bool:
    """Mark a job as done within the caller's write transaction; see ``complete``."""
    return connection.execute(_held(job).values(state="done", lease=None, leased_until=None)).rowcount == 1


def fail(engine: Engine, job: Job, error: str, *, retry: bool = True) -> None:
    """Give a job back after an error, later and later; after ``MAX_ATTEMPTS`` it is dead and waits for a
    person.

    Args:
        engine: from ``database.connect``.
        job: the leased job.
        error: what went wrong, kept with the job and shown by ``envcli-index doctor``.
        retry: ``False`` when another attempt cannot help.
    """
    wait = min(FIRST_RETRY_SECONDS * 2 ** (job.attempts - 1), LONGEST_RETRY_SECONDS)
    again = retry and job.attempts < MAX_ATTEMPTS
    values = {
        "state": "ready" if again else "dead",
        "available_at": time.time() + wait,
        "error": error[:2000],
    }
    try:
        with write(engine) as connection:
            connection.execute(_held(job).values(values | {"lease": None, "leased_until": None}))
    except IntegrityError:  # a newer job of the same key waits already and covers this one
        with write(engine) as connection:
            connection.execute(
                _held(job).values(state="done", lease=None, leased_until=None, error=error[:2000])
            )


def _held(job: Job) -> Any:
    return update(table).where(table.c.id == job.id, table.c.lease == job.lease)
