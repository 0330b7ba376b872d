"""Is a child well? One answer for servers (HTTP) and one for the others (a heartbeat file)."""

import http.client
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

TIMEOUT_SECONDS = 1.5
STALE_SECONDS = 5.0


class HealthCheck(Protocol):
    """Looks at a child once."""

    def is_well(self) -> bool:
        """Return whether the child answers at this moment."""


@dataclass(frozen=True)
class HttpCheck:
    """A server is well while it answers 200 at ``path``."""

    host: str
    port: int
    path: str = "/healthz"

    def is_well(self) -> bool:
        """Ask once, without waiting long."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=TIMEOUT_SECONDS)
        try:
            connection.request(
                "GET", self.path, headers={"Connection": "close", "Accept": "application/json"}
            )
            return connection.getresponse().status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


@dataclass(frozen=True)
class HeartbeatCheck:
    """A process without a port is well while it touches its file."""

    path: Path

    def is_well(self) -> bool:
        """Look at the file's age."""
        try:
            return time.time() - self.path.stat().st_mtime < STALE_SECONDS
        except FileNotFoundError:
            return False
