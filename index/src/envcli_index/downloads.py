"""Counts downloads without keeping who downloaded.

The server appends one JSON line per download to a spool file of the day. A client is a hash of its address and
user agent under a salt that is random per process and day and never written down, so that lines can be
de-duplicated within the day and never traced back.
"""

import hashlib
import json
import secrets
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

SPOOL_NAME = "downloads-{day}-{process}.jsonl"


class DownloadSpool:
    """Appends download events to one file per process and day.

    Args:
        folder: where the spool files lie; made when the first download is noted.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process = secrets.token_hex(4)
        self._day: date | None = None
        self._salt = b""

    def note(self, file: Path, client: str, agent: bytes) -> None:
        """Note one download of a file of the public tree (``files/<sha256>/<name>``)."""
        today = datetime.now(UTC).date()
        if today != self._day:
            self._day, self._salt = today, secrets.token_bytes(16)
        who = hashlib.blake2b(client.encode() + b"\0" + agent, key=self._salt, digest_size=8).hexdigest()
        line = json.dumps({"file": file.name, "sha256": file.parent.name, "client": who}) + "\n"
        self._folder.mkdir(parents=True, exist_ok=True)
        spool = self._folder / SPOOL_NAME.format(day=today.isoformat(), process=self._process)
        with spool.open("a", encoding="utf-8") as out:
            out.write(line)


def count_by_day(folder: Path) -> dict[date, Counter[str]]:
    """Return distinct downloads per day and file digest from every spool file.

    One client counts once a day per file, however often it downloads.
    """
    seen: dict[date, set[tuple[str, str]]] = {}
    for spool in sorted(folder.glob("downloads-*.jsonl")):
        day = date.fromisoformat("-".join(spool.stem.split("-")[1:4]))
        with spool.open(encoding="utf-8") as lines:
            for line in lines:
                if line.endswith("\n"):
                    event = json.loads(line)
                    seen.setdefault(day, set()).add((event["sha256"], event["client"]))
    return {day: Counter(sha256 for sha256, _ in events) for day, events in seen.items()}


def is_recent(day: date, today: date) -> bool:
    """Return whether ``day`` lies in the last 30 days."""
    return day > today - timedelta(days=30)
