"""How the trust services answer HTTP: limits, errors as JSON, one log line a request, an orderly end."""

import json
import logging
import signal
import sys
from typing import Any, NoReturn
from urllib.parse import quote

from flask import Flask, Response, request
from waitress import create_server  # type: ignore[import-untyped]
from werkzeug.exceptions import HTTPException

_THREADS = 4
_CHANNEL_SECONDS = 30
_CONNECTIONS = 200


def service(name: str, max_body: int) -> Flask:
    """Return an application with ``GET /healthz`` that refuses larger bodies and answers errors in JSON.

    Args:
        name: the service's name, used in its log lines.
        max_body: the most bytes of a request's body.
    """
    app = Flask(name)
    app.config["MAX_CONTENT_LENGTH"] = max_body
    app.json.sort_keys = False  # type: ignore[attr-defined]
    log = logging.getLogger(f"envcli_index.trust.{name}")

    @app.get("/healthz")
    def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.errorhandler(HTTPException)
    def refused(error: HTTPException) -> tuple[dict[str, Any], int]:
        return problem(error.code or 500, error.description or error.name)

    @app.after_request
    def logged(response: Response) -> Response:
        log.info("%s %s %d", request.method, quote(request.path), response.status_code)
        return response

    return app


def problem(status: int, message: str) -> tuple[dict[str, Any], int]:
    """Return an error in the form that Fulcio and Rekor clients read."""
    return {"code": status, "message": message}, status


def json_bytes(document: Any) -> bytes:
    """Return ``document`` as compact JSON."""
    return json.dumps(document, separators=(",", ":")).encode()


def serve(app: Flask, host: str, port: int) -> int:
    """Serve ``app`` until SIGTERM or SIGINT and return the exit status 0.

    Args:
        app: from :func:`service`.
        host: the address to listen on.
        port: the port to listen on.

    Raises:
        OSError: the address is in use.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    server = create_server(
        app,
        host=host,
        port=port,
        threads=_THREADS,
        channel_timeout=_CHANNEL_SECONDS,
        connection_limit=_CONNECTIONS,
        max_request_body_size=app.config["MAX_CONTENT_LENGTH"],
        ident="envcli",
    )
    server.run()
    server.close()
    return 0


def _stop(*_: object) -> NoReturn:
    sys.exit(0)
