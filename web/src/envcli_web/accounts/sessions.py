"""The signed-in session of the present request: reading, setting and removing its cookie."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

from flask import Flask, Response, current_app, flash, g, redirect, request, url_for
from flask import session as form_state
from flask.typing import ResponseReturnValue

from envcli_web.accounts import services
from envcli_web.accounts.models import Account
from envcli_web.config import WebConfig
from envcli_web.database import db, write
from envcli_web.errors import ForbiddenError

P = ParamSpec("P")


def cookie_name(config: WebConfig) -> str:
    """Return the cookie's name; on https the prefix makes browsers pin it to this very host."""
    return "__Host-envcli_session" if config.is_https else "envcli_session"


def _config() -> WebConfig:
    config: WebConfig = current_app.extensions["envcli_config"]
    return config


def current_account() -> Account | None:
    """Return who is signed in on the present request, or None."""
    account: Account | None = g.get("account")
    return account


def signed_in_account() -> Account:
    """Return who is signed in.

    Raises:
        ForbiddenError: nobody is.
    """
    account = current_account()
    if account is None:
        raise ForbiddenError("You are not signed in", remedy="Sign in and try again")
    return account


def start(response: Response, account: Account) -> Response:
    """Sign ``account`` in: a fresh session, a fresh cookie, and nothing kept from before."""
    finish_old()
    form_state.clear()
    with write() as session:
        token = services.open_session(session, account, request.user_agent.string)
    response.set_cookie(
        cookie_name(_config()),
        token,
        max_age=int(services.SESSION_LIFE.total_seconds()),
        httponly=True,
        samesite="Lax",
        secure=_config().is_https,
        path="/",
    )
    return response


def finish_old() -> None:
    """End the session that the browser came with, if any."""
    token = request.cookies.get(cookie_name(_config()))
    if token:
        with write() as session:
            services.close_session(session, token)


def finish(response: Response) -> Response:
    """Sign out: the session ends on the server, the cookie is removed."""
    finish_old()
    form_state.clear()
    response.delete_cookie(
        cookie_name(_config()), path="/", httponly=True, samesite="Lax", secure=_config().is_https
    )
    return response


def login_required(view: Callable[P, ResponseReturnValue]) -> Callable[P, ResponseReturnValue]:
    """Let only signed-in people reach ``view``; others sign in first and come back."""

    @wraps(view)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> ResponseReturnValue:
        if current_account() is None:
            flash("Please sign in first.", "notice")
            here = request.full_path.rstrip("?") if request.method == "GET" else None
            return redirect(url_for("accounts.sign_in", next=here))
        return view(*args, **kwargs)

    return guarded


def admin_required(view: Callable[P, ResponseReturnValue]) -> Callable[P, ResponseReturnValue]:
    """Let only administrators of the site reach ``view``."""

    @wraps(view)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> ResponseReturnValue:
        if not signed_in_account().is_admin:
            raise ForbiddenError("This page is for administrators of the site")
        return view(*args, **kwargs)

    return login_required(guarded)


def init_app(app: Flask) -> None:
    """Load the session before each request of ``app`` and make the account known to templates."""

    @app.before_request
    def _load() -> None:
        g.account = None
        token = request.cookies.get(cookie_name(_config()))
        if not token or request.endpoint == "static":
            return
        found = services.find_session(db.session, token)
        if found is None:
            return
        g.account = found.account
        if services.is_due_for_a_touch(found):
            with write() as session:
                services.touch_session(session, token)

    @app.context_processor
    def _names() -> dict[str, object]:
        return {"account": current_account()}
