"""The gate's process: takes jobs one at a time, looks after feed, counts and trust metadata in between."""

import fcntl
import json
import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from envcli_policy.errors import PolicyError
from sqlalchemy import select

from envcli_index import database as db
from envcli_index import queue
from envcli_index.addresses import INDEX_TARGET, index_document
from envcli_index.config import IndexConfig
from envcli_index.database import connect, read, upgrade, write
from envcli_index.devpi_client import DevpiClient
from envcli_index.enrolment import enrolled_keys, keys_document
from envcli_index.errors import ConfigError, IndexServiceError
from envcli_index.events import publish_feed
from envcli_index.gate.approval import consider
from envcli_index.gate.context import KEYS_TARGET, Gate
from envcli_index.gate.promotion import publish_dependency
from envcli_index.gate.takedowns import carry_out
from envcli_index.public.render import Renderer
from envcli_index.queue import Job
from envcli_index.releases import open_release_ids
from envcli_index.statistics import roll_up
from envcli_index.trust.errors import TrustError
from envcli_index.trust.keys import load_signer
from envcli_index.trust.tuf import TufPublisher
from envcli_index.upload.claims import drop_incomplete

log = logging.getLogger("envcli_index.gate")

IDLE_SECONDS = 0.2
LEASE_SECONDS = 300.0
HEARTBEAT_SECONDS = 1.0
STATISTICS_SECONDS = 30.0
REFRESH_SECONDS = 3600.0
INCOMPLETE_SECONDS = 24 * 3600
STUCK_SECONDS = 240.0
TIMESTAMP_SECONDS = 3.0  # shorter than the five seconds within which a process must end
_INDEX_ROLES = frozenset({"gate", "vetting"})


def open_gate(config: IndexConfig) -> Gate:
    """Return the gate's means; loads its keys.

    Raises:
        TrustError: a key is missing or readable by others.
        ConfigError: the bearer token is missing or readable by others.
    """
    engine = connect(config)
    upgrade(engine)
    signer = load_signer(config.keys / "gate" / "gate.pem")
    return Gate(
        config,
        engine,
        signer,
        TufPublisher(config, TIMESTAMP_SECONDS),
        Renderer(config),
        DevpiClient(config, "gate"),
    )


def run(config: IndexConfig) -> int:
    """Work until SIGTERM or SIGINT; return the exit status 0."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with only_one(config.run_dir / "gate.lock"):
        gate = open_gate(config)
        resume(gate)
        with heartbeat(config.run_dir / "gate.heartbeat") as alive:
            loop(gate, stop, alive)
        gate.devpi.close()
    return 0


@contextmanager
def only_one(path: Path) -> Iterator[None]:
    """Hold an exclusive lock; the system drops it when the process dies.

    Raises:
        ConfigError: another gate runs on this index.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with path.open("w", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigError("another gate runs on this index", remedy="Stop it first") from error
        yield


def loop(gate: Gate, stop: threading.Event, alive: Callable[[], None]) -> None:
    """Take jobs until ``stop`` is set; chores run between them."""
    chores = [
        (STATISTICS_SECONDS, _count_downloads),
        (REFRESH_SECONDS, _refresh_trust),
        (REFRESH_SECONDS, drop_stale_uploads),
    ]
    due = [0.0 for _ in chores]
    while not stop.is_set():
        alive()
        worked = work_once(gate)
        for number, (pause, chore) in enumerate(chores):
            if time.monotonic() >= due[number]:
                due[number] = time.monotonic() + pause
                _guarded(chore, gate)
        if not worked:
            stop.wait(IDLE_SECONDS)


def work_once(gate: Gate) -> bool:
    """Do one job if there is one; return whether there was."""
    job = queue.lease(gate.engine, list(HANDLERS), LEASE_SECONDS)
    if job is None:
        return False
    try:
        HANDLERS[job.kind](gate, job)
        with read(gate.engine) as connection:
            publish_feed(connection, gate.renderer.files)
    except (IndexServiceError, PolicyError, TrustError, OSError) as error:
        log.error("job %d (%s) failed in attempt %d: %s", job.id, job.kind, job.attempts, error)  # noqa: TRY400 a known cause
        queue.fail(gate.engine, job, f"{type(error).__name__}: {error}")
    except Exception as error:
        log.exception("job %d (%s) broke in attempt %d", job.id, job.kind, job.attempts)
        queue.fail(gate.engine, job, f"{type(error).__name__}: {error}")
    else:
        queue.complete(gate.engine, job)
    return True


def resume(gate: Gate) -> None:
    """Take up what an interrupted process left undone; harmless where nothing is."""
    queue.release_leases(gate.engine, list(HANDLERS))
    with write(gate.engine) as connection:
        queue.enqueue(connection, "publish-keys", {}, "publish-keys")
        for release_id in open_release_ids(connection):
            queue.enqueue(connection, "gate", {"release": release_id}, f"release-{release_id}")
        waiting = select(db.takedown.c.id).where(db.takedown.c.published.is_(None))
        for takedown_id in connection.execute(waiting).scalars().all():
            queue.enqueue(connection, "takedown", {"takedown": takedown_id}, takedown_id)


def _consider(gate: Gate, job: Job) -> None:
    consider(gate, int(job.payload["release"]))


def _take_down(gate: Gate, job: Job) -> None:
    carry_out(gate, str(job.payload["takedown"]))


def _publish_keys(gate: Gate, job: Job) -> None:  # noqa: ARG001 one signature for all handlers
    """Pin the enrolled reviewers beside the index's own keys, and state the addresses in force."""
    pinned = json.loads(gate.tuf.read(KEYS_TARGET) or b'{"keys": []}')["keys"]
    own = [entry for entry in pinned if entry["role"] in _INDEX_ROLES]
    with read(gate.engine) as connection:
        people = enrolled_keys(connection)
    keys = keys_document([*own, *people])
    gate.tuf.publish({KEYS_TARGET: keys, INDEX_TARGET: index_document(gate.config)})


def _publish_dependency(gate: Gate, job: Job) -> None:
    query = select(db.dependency).where(db.dependency.c.filename == job.payload["filename"])
    with read(gate.engine) as connection:
        row = connection.execute(query).one()
    publish_dependency(gate, row.sha256, row.filename)
    with read(gate.engine) as connection:
        gate.renderer.render_lists(connection)


HANDLERS: dict[str, Callable[[Gate, Job], None]] = {
    "gate": _consider,
    "takedown": _take_down,
    "publish-keys": _publish_keys,
    "deps": _publish_dependency,
}


def _count_downloads(gate: Gate) -> None:
    roll_up(gate.engine, gate.config, gate.renderer.files)


def _refresh_trust(gate: Gate) -> None:
    gate.tuf.refresh()


def drop_stale_uploads(gate: Gate) -> None:
    """Forget source archives whose wheel never came; devpi drops their bytes when it starts next."""
    before = datetime.now(UTC) - timedelta(seconds=INCOMPLETE_SECONDS)
    with write(gate.engine) as connection:
        dropped = drop_incomplete(connection, before)
    if dropped:
        log.info("dropped %d uploads that never got a wheel", dropped)


def _guarded(chore: Callable[[Gate], None], gate: Gate) -> None:
    try:
        chore(gate)
    except (IndexServiceError, TrustError, OSError) as error:
        log.error("%s failed: %s", chore.__name__.strip("_"), error)  # noqa: TRY400 a known cause


@contextmanager
def heartbeat(path: Path) -> Iterator[Callable[[], None]]:
    """Touch ``path`` every second while the body makes progress; the body calls the yielded function to say
    so.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    progress = [time.monotonic()]
    stop = threading.Event()

    def beat() -> None:
        while True:
            if time.monotonic() - progress[0] < STUCK_SECONDS:
                path.touch()
            if stop.wait(HEARTBEAT_SECONDS):
                return

    def alive() -> None:
        progress[0] = time.monotonic()

    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield alive
    finally:
        stop.set()
        thread.join(timeout=2)
