"""The vetting worker: takes ``vet`` jobs one after the other until it is told to stop.

A heartbeat file shows that the process lives, and the same beat keeps the lease of the job in hand. Killed at
any moment, it leaves a lease that runs out; whoever takes the job next does it from the start.
"""

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from envcli_policy.errors import PolicyError
from envcli_vetting.errors import VettingError
from sqlalchemy import Engine

from envcli_index import queue
from envcli_index.config import IndexConfig
from envcli_index.database import connect
from envcli_index.errors import IndexServiceError
from envcli_index.trust.keys import load_signer
from envcli_index.worker_vetting import ReleaseVetting

log = logging.getLogger("envcli_index.worker")

LEASE_SECONDS = 15.0
BEAT_SECONDS = 1.0
RENEW_BEATS = 4
IDLE_SECONDS = 0.5


class _StopRequested(BaseException):
    """SIGTERM arrived; not an `Exception`, so that nothing on the way takes it for a failed job."""


def run(config: IndexConfig) -> None:
    """Work until SIGTERM or SIGINT.

    Args:
        config: The index's settings.

    Raises:
        KeyFileError: The vetting key cannot be read.
    """
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    worker = Worker(config)
    try:
        with worker.beating():
            worker.work()
    except _StopRequested:
        log.info("worker stops")


def _stop(_number: int, _frame: FrameType | None) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise _StopRequested


class Worker:
    """One worker on one index.

    Args:
        config: The index's settings.
    """

    def __init__(self, config: IndexConfig) -> None:
        self._engine: Engine = connect(config)
        self._vetting = ReleaseVetting(
            config, self._engine, load_signer(config.keys / "vetting" / "vetting.pem")
        )
        self._heartbeat = config.run_dir / "worker.heartbeat"
        self._held: queue.Job | None = None
        self._ended = threading.Event()

    def work(self) -> NoReturn:
        """Take jobs for ever."""
        log.info("worker ready")
        while True:
            if not self.work_once():
                self._ended.wait(IDLE_SECONDS)

    def work_once(self) -> bool:
        """Take and do one job; return False when none waits."""
        job = queue.lease(self._engine, ["vet"], LEASE_SECONDS)
        if job is None:
            return False
        self._held = job
        try:
            log.info("vet: %s", self._vetting.vet(job))
        except (IndexServiceError, VettingError, PolicyError, OSError) as error:
            log.warning("vet: job %d, attempt %d: %s", job.id, job.attempts, error)
            queue.fail(self._engine, job, str(error))
        except Exception as error:
            log.exception("vet: job %d, attempt %d broke down", job.id, job.attempts)
            queue.fail(self._engine, job, f"{type(error).__name__}: {error}")
        except _StopRequested:
            queue.fail(self._engine, job, "the worker was stopped")
            raise
        finally:
            self._held = None
        return True

    @contextmanager
    def beating(self) -> Iterator[None]:
        """Touch the heartbeat and keep the lease while the body runs."""
        self._heartbeat.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        beat = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        beat.start()
        try:
            yield
        finally:
            self._ended.set()
            beat.join(BEAT_SECONDS * 2)

    def _beat(self) -> None:
        count = 0
        while not self._ended.wait(BEAT_SECONDS):
            self._heartbeat.touch()
            count += 1
            job = self._held
            if job is not None and count % RENEW_BEATS == 0:
                try:
                    queue.renew(self._engine, job, LEASE_SECONDS)
                except IndexServiceError as error:
                    log.warning("vet: job %d: the lease was not renewed: %s", job.id, error)
