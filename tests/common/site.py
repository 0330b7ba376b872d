"""The site for tests: one initialised per test, and a client that fills in its forms as a browser would."""

import re
from dataclasses import dataclass
from html import unescape

import httpx
from envcli_web.catalog import projection
from envcli_web.config import WebConfig
from envcli_web.identity.keys import create_keys
from envcli_web.jobs import handlers
from envcli_web.migrations import upgrade
from flask import Flask

from common.public_tree import PublicTree

URL = "http://127.0.0.1:4040"
PASSWORD = "correct horse battery staple"
CSRF = re.compile(r'name="csrf_token"[^>]*value="([^"]+)"')
PUBLISHER = re.compile(r"/publishers/([0-9a-f-]{36})")
TOKEN = re.compile(r'id="token">([^<]+)<')


class SiteClient:
    """One browser. Works over the network and, with a transport, against the application object."""

    def __init__(self, url: str = URL, transport: httpx.BaseTransport | None = None) -> None:
        self.url = url
        self.http = httpx.Client(base_url=url, transport=transport, headers={"Origin": url}, timeout=30)

    def get(self, path: str, **options: object) -> httpx.Response:
        """Fetch a page."""
        return self.http.get(path, **options)  # type: ignore[arg-type]

    def csrf(self, page: str) -> str:
        """Return the form token that ``page`` holds."""
        found = CSRF.search(self.get(page).text)
        assert found, f"{page} has no form"
        return unescape(found[1])

    def post(self, to: str, page: str | None = None, /, **fields: str) -> httpx.Response:
        """Fill in the form on ``page`` (the path ``to`` itself unless given) and send it."""
        return self.http.post(to, data={"csrf_token": self.csrf(page or to), **fields})

    def sign_up(self, name: str = "ada", password: str = PASSWORD) -> "SiteClient":
        """Create an account and stay signed in."""
        answer = self.post("/account/sign-up", username=name, password=password)
        assert answer.status_code == 302, answer.text
        return self

    def sign_in(self, name: str = "ada", password: str = PASSWORD, **fields: str) -> httpx.Response:
        """Sign in."""
        return self.post("/account/sign-in", username=name, password=password, **fields)

    def create_publisher(self, name: str = "Ada's tools") -> str:
        """Create a publisher and return its uuid."""
        before = set(PUBLISHER.findall(self.get("/portal").text))
        answer = self.post("/portal/publishers", "/portal", name=name)
        assert answer.status_code == 302, answer.text
        (new,) = set(PUBLISHER.findall(self.get("/portal").text)) - before
        return str(new)

    def create_token(self, publisher: str = "", label: str = "laptop", days: str = "7") -> str:
        """Make an API token and return its text."""
        answer = self.post("/account/tokens", publisher=publisher, label=label, days=days)
        found = TOKEN.search(answer.text)
        assert found, answer.text
        return unescape(found[1])

    def post_receipt(self, token: str, sha256: str) -> httpx.Response:
        """Post an install receipt as a host does, without cookies."""
        headers = {"Authorization": f"Bearer {token}"}
        with httpx.Client(base_url=self.url, transport=self.http._transport) as host:
            return host.post("/api/v1/receipts", json={"sha256": sha256}, headers=headers)


@dataclass
class Site:
    """A site in this process and the index that it follows."""

    app: Flask
    config: WebConfig
    tree: PublicTree

    def client(self) -> SiteClient:
        """Return a new browser."""
        return SiteClient(URL, httpx.WSGITransport(app=self.app.wsgi_app))

    def refresh(self) -> int:
        """Bring the catalog up to date and return the number of projects fetched."""
        with self.app.app_context(), handlers.index_client() as client:
            return projection.refresh(client)


def initialise(config: WebConfig) -> WebConfig:
    """Do what ``envcli-web init`` does."""
    config.save()
    create_keys(config.keys)
    upgrade(config)
    return config
