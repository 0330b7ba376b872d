"""Runs devpi-server as the write path, with everything closed that is open by default."""

import signal
from types import FrameType

from waitress.parser import HTTPRequestParser  # type: ignore[import-untyped]
from waitress.utilities import RequestEntityTooLarge  # type: ignore[import-untyped]

from envcli_index.config import IndexConfig
from envcli_index.setup import DEVPI_SECRET
from envcli_index.upload.form import MAX_FORM_BYTES

THREADS = 8


class ArchiveTooLarge(RequestEntityTooLarge):  # type: ignore[misc]  # waitress has no types
    """The answer to a request that is too large even to be received: one line with the rule's id, as the gate's."""

    def to_response(self, ident: str | None = None) -> tuple[str, list[tuple[str, str]], bytes]:  # noqa: ARG002
        """Return status, headers and body (waitress' protocol)."""
        line = f"archive-too-large: {self.body}. Leave data files out of the release"
        return f"{self.code} {line}", [("Content-Type", "text/plain")], f"{line}\n".encode()


class UploadParser(HTTPRequestParser):  # type: ignore[misc]  # waitress has no types
    """waitress' parser, whose refusal of a large body names the rule that was broken."""

    error: object

    def received(self, data: bytes) -> int:
        """Take some of a request's bytes and return how many were used."""
        used: int = super().received(data)
        if isinstance(self.error, RequestEntityTooLarge):
            self.error = ArchiveTooLarge(f"the upload has {MAX_FORM_BYTES} bytes or more")
        return used


def run(config: IndexConfig, host: str, port: int) -> int:
    """Serve until SIGTERM.

    Args:
        config: the index.
        host: address to listen on.
        port: TCP port.

    Returns:
        devpi's exit status; 0 after SIGTERM.
    """
    signal.signal(signal.SIGTERM, _stop)
    try:
        from devpi_server.main import main
        from waitress.channel import HTTPChannel  # type: ignore[import-untyped]

        HTTPChannel.parser_class = UploadParser
        status = main(argv=arguments(config, host, port))  # type: ignore[no-untyped-call]
    except KeyboardInterrupt:  # while it started
        return 0
    return status if isinstance(status, int) else 0  # devpi returns no number when it was interrupted


def arguments(config: IndexConfig, host: str, port: int) -> list[str]:
    """Return devpi-server's command line.

    The server's secret has 264 random bits, so stretching it with argon2 (10 CPU s and 500 MB by default)
    adds nothing.
    """
    folder = config.devpi_dir
    return [
        "devpi-server",
        *("--serverdir", str(folder)),
        *("--secretfile", str(folder / DEVPI_SECRET)),
        *("--host", host, "--port", str(port), "--threads", str(THREADS)),
        *("--restrict-modify", "root"),
        *("--argon2-memory-cost", "8192", "--argon2-time-cost", "2"),
        *("--max-request-body-size", str(MAX_FORM_BYTES)),
        "--offline-mode",
        *("--envcli-data", str(config.data)),
    ]


def _stop(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
