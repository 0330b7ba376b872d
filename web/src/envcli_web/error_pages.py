"""The pages, or JSON objects, that show an error."""

from http import HTTPStatus

from flask import Flask, jsonify, make_response, render_template, request
from flask.typing import ResponseReturnValue
from flask.wrappers import Response
from werkzeug.exceptions import HTTPException

from envcli_web.errors import WebError
from envcli_web.security import wants_json


def _answer(status: int, title: str, message: str, remedy: str = "") -> Response:
    if wants_json():
        body = {"error": {"status": status, "title": title, "message": message, "remedy": remedy}}
        return make_response(jsonify(body), status)
    page = render_template("error.html", status=status, title=title, message=message, remedy=remedy)
    return make_response(page, status)


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
        return _answer(
            500, "Internal Server Error", "The site made a mistake; it is in the log", "Please try again"
        )
