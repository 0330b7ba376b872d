"""The feed of what happened: ordered, each event naming the digest of the one before, each signed by the
gate.

A reader who kept the head can tell whether anything was changed, left out or reordered since.
"""

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from securesystemslib.dsse import Envelope
from securesystemslib.signer import Signer  # type: ignore[attr-defined]
from sqlalchemy import Connection, insert, select

from envcli_index.database import event_log, utc_now
from envcli_index.public.tree import PublicFiles

EVENT_TYPE = "application/vnd.envcli.event+json"
FIRST_PREVIOUS = "0" * 64
HEAD = "feed/head.json"


def emit(
    connection: Connection, signer: Signer, *, dedupe: str, kind: str, subject: str, data: Mapping[str, Any]
) -> bool:
    """Append an event within the caller's write transaction; return ``False`` when it was told before.

    Args:
        connection: from ``database.write``.
        signer: the gate's key.
        dedupe: the same happening has the same key.
        kind: ``subject.verb/version``, for example ``release.promoted/1``.
        subject: what it is about, for example ``envcli-plugin-x==1.0``.
        data: plain JSON.
    """
    if connection.execute(select(event_log.c.seq).where(event_log.c.dedupe == dedupe)).first():
        return False
    last = connection.execute(
        select(event_log.c.seq, event_log.c.sha256).order_by(event_log.c.seq.desc()).limit(1)
    ).first()
    seq, previous = (last.seq + 1, last.sha256) if last else (1, FIRST_PREVIOUS)
    moment = utc_now()
    envelope = _sign(signer, seq, previous, moment, kind, subject, data)
    row = {
        "seq": seq,
        "dedupe": dedupe,
        "prev_sha256": previous,
        "time": moment,
        "type": kind,
        "subject": subject,
    }
    digest = hashlib.sha256(envelope).hexdigest()
    connection.execute(insert(event_log).values(row | {"sha256": digest, "envelope": envelope}))
    return True


def _sign(
    signer: Signer,
    seq: int,
    previous: str,
    moment: datetime,
    kind: str,
    subject: str,
    data: Mapping[str, Any],
) -> bytes:
    payload = {
        "seq": seq,
        "prev_sha256": previous,
        "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "type": kind,
        "subject": subject,
        "data": dict(data),
    }
    envelope = Envelope(json.dumps(payload, sort_keys=True, separators=(",", ":")).encode(), EVENT_TYPE, {})
    envelope.sign(signer)
    return json.dumps(envelope.to_dict(), sort_keys=True, separators=(",", ":")).encode()


def publish_feed(connection: Connection, files: PublicFiles) -> int:
    """Write the events that the public tree lacks, then the head; return the head's number.

    Args:
        connection: from ``database.read``.
        files: the public tree.
    """
    head = json.loads(files.read(HEAD) or b'{"seq":0}')
    query = select(event_log).where(event_log.c.seq > head["seq"]).order_by(event_log.c.seq)
    for row in connection.execute(query):
        files.put(f"feed/events/{row.seq}.json", row.envelope)
        head = {"seq": row.seq, "sha256": row.sha256, "time": row.time.isoformat()}
    if head["seq"]:
        files.put(HEAD, json.dumps(head, sort_keys=True).encode())
    return int(head["seq"])
