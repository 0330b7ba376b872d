"""The worker: watches the index's feed, enqueues what is due, and runs jobs one after the other."""

import logging
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from flask import Flask

from envcli_web.catalog import projection
from envcli_web.database import db, write
from envcli_web.errors import WebError
from envcli_web.files import private_directory
from envcli_web.jobs import handlers, queue

HEARTBEAT = "worker.heartbeat"
BEAT_SECONDS = 1.0
HANGING_SECONDS = 900.0
PERIODS = {
    handlers.STATS: 30.0,
    handlers.REINDEX: 24 * 3600.0,
    handlers.REBUILD: 24 * 3600.0,
    handlers.PURGE: 3600.0,
}

logger = logging.getLogger(__name__)


@dataclass
class Worker:
    """Runs until it is told to stop.

    Attributes:
        app: the site.
        data: its data directory, where the heartbeat file lies.
        poll_seconds: pause between two looks at the feed and the job table.
    """

    app: Flask
    data: Path
    poll_seconds: float = 1.0
    stopping: threading.Event = field(default_factory=threading.Event)
    _due: dict[str, float] = field(default_factory=lambda: dict.fromkeys(PERIODS, 0.0))
    _complaint: str = ""
    _progress: float = field(default_factory=time.monotonic)

    def run(self) -> None:
        """Work until ``stopping`` is set."""
        threading.Thread(target=self._keep_beating, daemon=True).start()
        while not self.stopping.is_set():
            self.step()
            self.stopping.wait(self.poll_seconds)

    def _keep_beating(self) -> None:
        """Touch the heartbeat file while the work goes on; a job that hangs ends the beat."""
        heartbeat = private_directory(self.data / "run") / HEARTBEAT
        while not self.stopping.wait(BEAT_SECONDS):
            if time.monotonic() - self._progress < HANGING_SECONDS:
                heartbeat.touch(mode=0o600)

    def step(self) -> None:
        """Enqueue what is due and run the jobs that are."""
        self._progress = time.monotonic()
        with self.app.app_context():
            self._watch_feed()
            self._enqueue_periodic()
        while not self.stopping.is_set() and self._run_one():
            continue

    def _watch_feed(self) -> None:
        try:
            with handlers.index_client() as client:
                head = client.head()
        except WebError as error:
            if str(error) != self._complaint:
                logger.warning("%s", error)
            self._complaint = str(error)
            return
        self._complaint = ""
        seen = projection.read_cursor(db.session)
        if head is not None and head != seen and (head.seq != seen.seq or not seen.sha256):
            with write() as session:
                queue.enqueue(session, handlers.REFRESH, dedupe=handlers.REFRESH)

    def _enqueue_periodic(self) -> None:
        for kind, period in PERIODS.items():
            if time.monotonic() >= self._due[kind]:
                self._due[kind] = time.monotonic() + period
                with write() as session:
                    queue.enqueue(session, kind, dedupe=kind)

    def _run_one(self) -> bool:
        with self.app.app_context():
            with write() as session:
                job = queue.lease(session)
            if job is None:
                return False
            self._progress = time.monotonic()
            try:
                handlers.run(job)
            except Exception as error:
                logger.exception("job %s failed, attempt %d", job.kind, job.attempts)
                with write() as session:
                    queue.fail(session, job, f"{type(error).__name__}: {error}")
            else:
                with write() as session:
                    queue.complete(session, job)
            return True
