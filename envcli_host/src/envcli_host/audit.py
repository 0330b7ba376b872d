"""The audit log: one JSON object a line, appended under a lock, readable by its owner only.

Every decision about a plugin stands here, allowed or denied, with user, session, plugin, version, tier and policy.
Names, hosts, paths and verdicts are recorded, never a value.
"""

import errno
import fcntl
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from envcli_host.errors import EnvcliError
from envcli_host.failures import explain
from envcli_host.files import PRIVATE_FILE, make_private_folder

MAX_TEXT = 500
MAX_LINE = 16 * 1024


class AuditError(EnvcliError):
    """The audit log cannot be written, so nothing that must be audited may happen."""


class AuditLog:
    """Appends events; what is common to a session is given once.

    Args:
        path: the log file, created with mode 0600.
        context: keys added to every event, for example ``plugin`` and ``version``.
    """

    def __init__(self, path: Path, **context: Any) -> None:
        self._path = path
        self._context = {"user": _user(), "session": secrets.token_hex(8), **context}

    def bound(self, **context: Any) -> "AuditLog":
        """The same log and session with more context."""
        log = AuditLog(self._path)
        log._context = {**self._context, **context}
        return log

    def update(self, **context: Any) -> None:
        """Add to the context what became known, for example the tier."""
        self._context.update(context)

    def record(self, event: Mapping[str, Any]) -> None:
        """Append one event.

        Raises:
            AuditError: it could not be written; what it announces must not happen.
        """
        entry = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), **self._context}
        entry.update({key: _bounded(value) for key, value in event.items()})
        line = json.dumps(entry, ensure_ascii=True, separators=(",", ":"), default=str)
        if len(line) > MAX_LINE:
            line = json.dumps(
                {key: entry[key] for key in ("time", *self._context)} | {"event": "audit.oversized"}
            )
        try:
            self._append(line.encode() + b"\n")
        except OSError as error:
            cause, remedy = explain(error, self._path.parent)
            raise AuditError(
                f"the audit log {self._path} cannot be written: {cause}", remedy=f"{remedy}; nothing was run"
            ) from error

    def _append(self, line: bytes) -> None:
        make_private_folder(self._path.parent)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(self._path, flags, PRIVATE_FILE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            before = os.fstat(descriptor).st_size
            if os.write(descriptor, line) != len(line):
                os.ftruncate(descriptor, before)
                raise OSError(errno.ENOSPC, "the line was cut short")
        finally:
            os.close(descriptor)


def read_events(path: Path) -> Iterator[dict[str, Any]]:
    """Events of an audit log, oldest first; lines that are no JSON object are reported as ``audit.unreadable``."""
    try:
        stream = path.open(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return
    with stream:
        for number, line in enumerate(stream, start=1):
            try:
                event = json.loads(line)
            except ValueError:
                event = None
            yield event if isinstance(event, dict) else {"event": "audit.unreadable", "line": number}


def _user() -> str:
    import pwd

    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def _bounded(value: Any) -> Any:
    if isinstance(value, str):
        return value[:MAX_TEXT]
    if isinstance(value, Mapping):
        return {str(key)[:MAX_TEXT]: _bounded(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_bounded(item) for item in value[:1000]]
    return value
