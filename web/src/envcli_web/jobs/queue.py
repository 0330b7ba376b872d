"""Jobs with leases: at least once, so handlers must bear being run twice.

A job is enqueued in the transaction of the business that causes it. Leasing moves its due time into the future; a
worker that dies simply lets the lease run out. ``dedupe`` keeps one waiting job of a kind.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import Session

from envcli_web.database import now
from envcli_web.jobs.models import Job

LEASE = timedelta(minutes=5)
MAX_ATTEMPTS = 20
MAX_DELAY_SECONDS = 60
ERROR_LENGTH = 2000


@dataclass(frozen=True)
class Leased:
    """A job that this worker holds."""

    id: int
    kind: str
    payload: dict[str, Any]
    attempts: int


def enqueue(
    session: Session, kind: str, payload: dict[str, Any] | None = None, *, dedupe: str | None = None
) -> None:
    """Add a job, unless one with the same ``dedupe`` key is waiting; one that was given up gets a new chance."""
    insert = sqlite_insert if session.get_bind().dialect.name == "sqlite" else postgresql_insert
    moment = now()
    values = {"kind": kind, "payload": payload or {}, "dedupe": dedupe, "created": moment, "due": moment}
    statement = insert(Job).values(attempts=0, last_error="", **values)
    revived = {"attempts": 0, "due": moment}
    given_up = Job.attempts >= MAX_ATTEMPTS
    session.execute(
        statement.on_conflict_do_update(index_elements=[Job.dedupe], set_=revived, where=given_up)
    )


def lease(session: Session) -> Leased | None:
    """Take the job that has been due for longest, if any; it comes back after ``LEASE`` unless it is finished."""
    query = (
        select(Job).where(Job.due <= now(), Job.attempts < MAX_ATTEMPTS).order_by(Job.due, Job.id).limit(1)
    )
    job = session.scalar(query.with_for_update(skip_locked=True))
    if job is None:
        return None
    job.due = now() + LEASE
    job.attempts += 1
    return Leased(job.id, job.kind, dict(job.payload), job.attempts)


def complete(session: Session, job: Leased) -> None:
    """Remove a job that was done, unless its lease ran out and another worker has it."""
    session.execute(delete(Job).where(Job.id == job.id, Job.attempts == job.attempts))


def fail(session: Session, job: Leased, error: str) -> None:
    """Put a job back for later; each failure doubles the wait. After ``MAX_ATTEMPTS`` it stays for a person to see."""
    found = session.get(Job, job.id)
    if found is not None and found.attempts == job.attempts:
        found.due = now() + timedelta(seconds=min(MAX_DELAY_SECONDS, 2**job.attempts))
        found.last_error = error[:ERROR_LENGTH]


def list_jobs(session: Session, limit: int = 100) -> list[Job]:
    """Return the waiting jobs, oldest first."""
    return list(session.scalars(select(Job).order_by(Job.id).limit(limit)))
