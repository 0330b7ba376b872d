"""Jobs: at least once, never two holders at a time, oldest first."""

import threading
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from envcli_index import queue
from envcli_index.database import connect_url, job, upgrade, write
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from sqlalchemy import Engine, func, select, update


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    """A database with the schema."""
    made = connect_url(f"sqlite:///{tmp_path / 'index.db'}")
    upgrade(made)
    return made


def put(engine: Engine, kind: str = "gate", dedupe: str | None = None, **payload: int) -> None:
    """Enqueue in a transaction of its own."""
    with write(engine) as connection:
        queue.enqueue(connection, kind, payload, dedupe)


def test_job_and_business_row_stand_or_fall_together(engine: Engine) -> None:
    def interrupted() -> None:
        with write(engine) as connection:
            queue.enqueue(connection, "gate", {})
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert queue.lease(engine, ["gate"], 10) is None


def test_waiting_duplicate_is_dropped_but_not_one_in_work(engine: Engine) -> None:
    put(engine, dedupe="a")
    put(engine, dedupe="a")
    first = queue.lease(engine, ["gate"], 10)
    assert first is not None
    assert queue.lease(engine, ["gate"], 10) is None
    put(engine, dedupe="a")
    assert queue.lease(engine, ["gate"], 10) is not None


def test_lease_that_ran_out_passes_on_and_the_old_holder_is_refused(engine: Engine) -> None:
    put(engine)
    first = queue.lease(engine, ["gate"], -1)
    second = queue.lease(engine, ["gate"], 10)
    assert first is not None
    assert second is not None
    assert second.attempts == 2
    assert not queue.complete(engine, first)
    assert not queue.renew(engine, first, 10)
    assert queue.renew(engine, second, 10)
    assert queue.complete(engine, second)


def test_failed_job_waits_longer_each_time_and_dies_in_the_end(engine: Engine) -> None:
    put(engine)
    waits = []
    for _ in range(queue.MAX_ATTEMPTS):
        with write(engine) as connection:
            connection.execute(update(job).values(available_at=0.0))
        taken = queue.lease(engine, ["gate"], 10)
        assert taken is not None
        queue.fail(engine, taken, "broken")
        with engine.connect() as connection:
            waits.append(connection.execute(select(job.c.available_at)).scalar_one())
    assert waits == sorted(waits)
    with engine.connect() as connection:
        assert connection.execute(select(job.c.state, job.c.error)).one() == ("dead", "broken")


def test_failed_job_gives_way_to_a_newer_one_of_its_key(engine: Engine) -> None:
    put(engine, dedupe="a")
    taken = queue.lease(engine, ["gate"], 10)
    assert taken is not None
    put(engine, dedupe="a")
    queue.fail(engine, taken, "broken")
    assert queue.lease(engine, ["gate"], 10) is not None
    assert queue.lease(engine, ["gate"], 10) is None


def test_kinds_are_kept_apart(engine: Engine) -> None:
    put(engine, "vet")
    assert queue.lease(engine, ["gate", "takedown"], 10) is None
    assert queue.lease(engine, ["vet"], 10) is not None


def test_many_workers_share_the_work_without_overlap(engine: Engine) -> None:
    for number in range(60):
        put(engine, number=number)
    done: list[int] = []

    def work() -> None:
        while (taken := queue.lease(engine, ["gate"], 30)) is not None:
            done.append(int(taken.payload["number"]))
            queue.complete(engine, taken)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == list(range(60))


class QueueMachine(RuleBasedStateMachine):
    """Any interleaving of enqueue, lease, crash, fail and complete loses no job and hands none out twice."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.engine = connect_url(f"sqlite:///{self.folder.name}/index.db")
        upgrade(self.engine)
        self.held: list[queue.Job] = []
        self.open: set[int] = set()
        self.number = 0

    def teardown(self) -> None:
        """Delete the database."""
        self.engine.dispose()
        self.folder.cleanup()

    @rule()
    def enqueue(self) -> None:
        """A new job."""
        self.number += 1
        put(self.engine, number=self.number)
        self.open.add(self.number)

    @rule()
    def lease(self) -> None:
        """Some process takes a job."""
        taken = queue.lease(self.engine, ["gate"], 1000)
        if taken is not None:
            assert taken.payload["number"] in self.open
            assert taken.payload["number"] not in {one.payload["number"] for one in self.held}
            self.held.append(taken)

    @precondition(lambda self: self.held)
    @rule(pick=st.randoms())
    def complete(self, pick: object) -> None:
        """A holder is done."""
        taken = self.held.pop(pick.randrange(len(self.held)))  # type: ignore[attr-defined]
        assert queue.complete(self.engine, taken)
        self.open.discard(taken.payload["number"])

    @precondition(lambda self: self.held)
    @rule()
    def crash(self) -> None:
        """A holder dies; its lease runs out."""
        taken = self.held.pop()
        with write(self.engine) as connection:
            connection.execute(update(job).where(job.c.id == taken.id).values(leased_until=0.0))

    @invariant()
    def nothing_is_lost(self) -> None:
        """Every open job is in the table, waiting or leased."""
        with self.engine.connect() as connection:
            waiting = select(func.count()).select_from(job).where(job.c.state.in_(("ready", "leased")))
            assert connection.execute(waiting).scalar_one() == len(self.open)


QueueMachine.TestCase.settings = settings(max_examples=15, stateful_step_count=20, deadline=None)
TestQueueMachine = QueueMachine.TestCase
