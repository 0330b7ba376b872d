"""The timestamp process: vouches that a snapshot is the newest, for 24 hours at a time.

It alone holds the timestamp key. It signs when the gate has committed a new snapshot and, so that the 24
hours never run out, every four hours. A snapshot that the root does not delegate to, or that is older than
the last one, is refused.
"""

import logging
import signal
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tuf.api.exceptions import RepositoryError as TufError
from tuf.api.metadata import Metadata, MetaFile, Snapshot, Timestamp  # type: ignore[attr-defined]

from envcli_index.trust.errors import RepositoryError, TrustError
from envcli_index.trust.repository import LIFETIMES, Pointer, Repository, expiry, load_role_signer, verify_own
from envcli_index.trust.settings import TrustSettings

RENEW_AFTER = timedelta(hours=4)
_POLL_SECONDS = 0.1
_CHECK_SECONDS = 1.0
_log = logging.getLogger(__name__)


class TimestampSigner:
    """Signs the timestamp role of one repository."""

    def __init__(self, config: TrustSettings) -> None:
        """Load the timestamp key.

        Raises:
            KeyFileError: it is missing or not acceptable.
        """
        self._repository = Repository(config)
        self._signer = load_role_signer(config.data / "keys" / "timestamp" / "timestamp.pem")

    def update(self) -> bool:
        """Sign a timestamp if there is a newer snapshot or the present one is four hours old.

        Returns:
            Whether one was signed.

        Raises:
            RepositoryError: the repository is damaged, or the snapshot is older or not the gate's.
        """
        pointer = self._repository.pointer()
        timestamp = self._current()
        seen = timestamp.snapshot_meta.version
        if pointer.version < seen:
            raise RepositoryError(
                f"snapshot {pointer.version} is older than {seen}; restore the newest backup"
            )
        if pointer.version == seen and not _is_due(timestamp):
            return False
        timestamp.snapshot_meta = self._verified_meta(pointer)
        timestamp.version += 1
        timestamp.expires = expiry(Timestamp.type)
        self._repository.write(timestamp, self._signer, Timestamp.type)
        return True

    def _current(self) -> Timestamp:
        metadata = self._repository.read_timestamp()
        verify_own(metadata, self._signer, Timestamp.type)
        return metadata.signed

    def _verified_meta(self, pointer: Pointer) -> MetaFile:
        metadata: Metadata[Snapshot] = self._repository.read_snapshot(pointer)
        root = self._repository.read_root().signed
        try:
            root.verify_delegate(Snapshot.type, metadata.signed_bytes, metadata.signatures)
        except TufError as error:
            raise RepositoryError(
                f"snapshot {pointer.version} is not signed by the gate ({error})"
            ) from error
        if metadata.signed.version != pointer.version:
            raise RepositoryError(f"snapshot {pointer.version} calls itself {metadata.signed.version}")
        return MetaFile(pointer.version, pointer.length, {"sha256": pointer.sha256})


def run(config: TrustSettings) -> int:
    """Sign the timestamp role until SIGTERM or SIGINT.

    ``DIR/run/timestamp.heartbeat`` is touched every second as long as the repository can be vouched for.

    Returns:
        The exit status 0.

    Raises:
        KeyFileError: the timestamp key is missing or not acceptable.
    """
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    watch(config, stop)
    return 0


def watch(config: TrustSettings, stop: threading.Event) -> None:
    """Sign the timestamp role until ``stop`` is set; look for a new snapshot ten times a second.

    Args:
        config: the index.
        stop: ends the loop within a second.
    """
    signer = TimestampSigner(config)
    heartbeat = config.data / "run" / "timestamp.heartbeat"
    heartbeat.parent.mkdir(mode=0o700, exist_ok=True)
    pointer_file = Repository(config).pointer_file
    seen, checked = None, 0.0
    while not stop.wait(_POLL_SECONDS):
        stamp, now = _stamp(pointer_file), time.monotonic()
        if stamp != seen or now - checked > _CHECK_SECONDS:
            seen, checked = stamp, now
            _update(signer, heartbeat)


def _update(signer: TimestampSigner, heartbeat: Path) -> None:
    try:
        if signer.update():
            _log.info("timestamp signed")
    except (TrustError, OSError) as error:
        _log.error("timestamp not signed: %s", error)
    else:
        heartbeat.touch()


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns


def _is_due(timestamp: Timestamp) -> bool:
    age = LIFETIMES[Timestamp.type] - (timestamp.expires - datetime.now(UTC))
    return age > RENEW_AFTER
