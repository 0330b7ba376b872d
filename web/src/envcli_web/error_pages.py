"""The pages, or JSON objects, that show an error."""

import errno
from http import HTTPStatus

from flask import Flask, jsonify, make_response, render_template, request
from flask.typing import ResponseReturnValue
from flask.wrappers import Response
from sqlalchemy.exc import OperationalError
from werkzeug.exceptions import HTTPException

from envcli_web.errors import StorageError, StorageFullError, WebError
from envcli_web.security import wants_json

TOKEN_ENDPOINT = "identity.token"  # noqa: S105 - the name of a route
DISK_FULL = ("disk is full", "No space left")
FULL_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def _answer(status: int, title: str, message: str, remedy: str = "") -> Response:
    if request.endpoint == TOKEN_ENDPOINT:
        return make_response(jsonify(_oauth_error(status, message, remedy)), status)
    if wants_json():
        body = {"error": {"status": status, "title": title, "message": message, "remedy": remedy}}
        return make_response(jsonify(body), status)
    page = render_template("error.html", status=status, title=title, message=message, remedy=remedy)
    return make_response(page, status)


def _oauth_error(status: int, message: str, remedy: str) -> dict[str, str]:
    """Return an error as clients of the token endpoint read it (RFC 6749, section 5.2)."""
    if status < HTTPStatus.INTERNAL_SERVER_ERROR:
        code = "temporarily_unavailable" if status == HTTPStatus.TOO_MANY_REQUESTS else "invalid_request"
    else:
        code = "server_error" if status == HTTPStatus.INTERNAL_SERVER_ERROR else "temporarily_unavailable"
    return {"error": code, "error_description": f"{message}. {remedy}" if remedy else message}


def _storage_error(error: OperationalError | OSError) -> StorageError | None:
    """Return what the visitor is told about a failed database or disk, ``None`` where it is neither."""
    if isinstance(error, OSError):
        is_full, is_storage = error.errno in FULL_ERRNOS, False
    else:
        is_full, is_storage = any(words in str(error.orig) for words in DISK_FULL), True
    if is_full:
        return StorageFullError(
            "The disk of the site is full; nothing was changed",
            remedy="Try again later, and tell the site's administrator",
        )
    if not is_storage:
        return None
    return StorageError(
        "The site's database does not work at the moment; nothing was changed", remedy="Try again later"
    )


def _web_error(error: WebError) -> ResponseReturnValue:
    return _answer(error.status, HTTPStatus(error.status).phrase, error.message, error.remedy)


def _http_error(error: HTTPException) -> ResponseReturnValue:
    if error.response is not None or error.code is None or error.code < HTTPStatus.BAD_REQUEST:
        return error
    return _answer(error.code, error.name, error.description or error.name)


def init_app(app: Flask) -> None:
    """Register the error pages on ``app``."""
    app.register_error_handler(WebError, _web_error)
    app.register_error_handler(HTTPException, _http_error)

    @app.errorhandler(Exception)
    def _unexpected(error: Exception) -> ResponseReturnValue:
        app.logger.error("unexpected error at %s %s", request.method, request.path, exc_info=error)
        if isinstance(error, OperationalError | OSError) and (known := _storage_error(error)) is not None:
            return _web_error(known)
        return _answer(
            500, "Internal Server Error", "The site made a mistake; it is in the log", "Please try again"
        )
