"""The application factory: one line for each feature."""

from datetime import datetime
from importlib import import_module

from flask import Flask, jsonify, render_template
from flask.typing import ResponseReturnValue
from sqlalchemy import text
from werkzeug.middleware.proxy_fix import ProxyFix

from envcli_web import database, error_pages, ratelimit, security
from envcli_web.accounts import sessions
from envcli_web.config import WebConfig
from envcli_web.database import db, now
from envcli_web.identity import provider
from envcli_web.identity.keys import load_form_secret, load_keys
from envcli_web.identity.tokens import TokenIssuer

MAX_BODY_BYTES = 256 * 1024
FEATURES = ("accounts", "catalog", "categories", "reviews", "vetting", "portal", "admin", "api", "identity")


def _settings(config: WebConfig) -> dict[str, object]:
    return {
        "SECRET_KEY": load_form_secret(config.keys),
        "SESSION_COOKIE_NAME": "__Host-envcli_form" if config.is_https else "envcli_form",
        "SESSION_COOKIE_SECURE": config.is_https,
        "SESSION_COOKIE_HTTPONLY": True,
        "SESSION_COOKIE_SAMESITE": "Lax",
        "MAX_CONTENT_LENGTH": MAX_BODY_BYTES,
        "MAX_FORM_MEMORY_SIZE": MAX_BODY_BYTES,
        "WTF_CSRF_TIME_LIMIT": 4 * 3600,
        "TESTING": config.testing,
    }


def _age(moment: datetime | None) -> str:
    """Return how long ago ``moment`` was, in words."""
    if moment is None:
        return "at an unknown time"
    days = (now() - moment).days
    if days < 1:
        return "today"
    if days < 60:
        return f"{days} day{'s' if days > 1 else ''} ago"
    if days < 730:
        return f"{days // 30} months ago"
    return f"{days // 365} years ago"


def _init_templates(app: Flask, config: WebConfig) -> None:
    app.jinja_env.filters["age"] = _age
    app.jinja_env.globals["index_url"] = config.index_url
    app.jinja_env.globals["site_url"] = config.url
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True


def _init_health(app: Flask) -> None:
    @app.get("/healthz")
    def healthz() -> ResponseReturnValue:
        """Answer 200 while the database can be read."""
        db.session.execute(text("SELECT 1"))
        return jsonify(status="ok")

    @app.get("/about/ratings")
    def about_numbers() -> ResponseReturnValue:
        """Explain how every number of the site is counted."""
        return render_template("about_numbers.html")


def create_app(config: WebConfig) -> Flask:
    """Build the site.

    Args:
        config: its settings; the data directory must have been made by ``envcli-web init``.

    Raises:
        ConfigurationError: the keys are missing or open to others.
    """
    app = Flask("envcli_web")
    app.config.from_mapping(_settings(config))
    app.extensions["envcli_config"] = config
    app.extensions["envcli_token_issuer"] = TokenIssuer(load_keys(config.keys), config.url)
    if config.trusted_proxies:
        hops = config.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops)  # type: ignore[method-assign]
    database.init_app(app, config.database_url)
    security.init_app(app, config)
    sessions.init_app(app)
    ratelimit.init_app(app)
    error_pages.init_app(app)
    provider.init_app(app)
    _init_templates(app, config)
    _init_health(app)
    for feature in FEATURES:
        app.register_blueprint(import_module(f"envcli_web.{feature}.views").blueprint)
    return app
