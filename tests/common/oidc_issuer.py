"""A small token issuer: what the site issues and publishes, without the site.

It serves the well-known documents and the list of revoked tokens over HTTP, and signs identity tokens (for
the certificate authority) and API tokens (for uploads) with one ES256 key.
"""

import json
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey

PUBLISHER = "7a5c3d0e-2f63-4f0a-9d68-0e8fbb0f1c11"


class OidcIssuer:
    """Issues tokens under ``url`` as long as :func:`running_issuer` lasts."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.key = ECKey.generate_key("P-256", {"use": "sig", "alg": "ES256"}, auto_kid=True)
        self.further_keys: list[dict[str, Any]] = []
        self.revoked: list[str] = []
        self.requests: list[str] = []

    def identity(self, publisher: str = PUBLISHER) -> str:
        """Return the URI that names ``publisher`` in certificates."""
        return f"{self.url}/publishers/{publisher}"

    def identity_claims(self, publisher: str = PUBLISHER) -> dict[str, Any]:
        """Return the claims of an acceptable identity token."""
        now = int(time.time())
        subject = self.identity(publisher)
        return {"iss": self.url, "aud": "sigstore", "sub": subject, "iat": now, "nbf": now, "exp": now + 300}

    def identity_token(self, publisher: str = PUBLISHER, **changes: Any) -> str:
        """Return an identity token; ``changes`` replace claims, and None removes one."""
        return self.signed(_changed(self.identity_claims(publisher), changes))

    def api_token(self, publisher: str | None = PUBLISHER, account: str = "", **changes: Any) -> str:
        """Return an API token for uploads with its ``envcli-`` prefix; ``changes`` as in identity_token."""
        now = int(time.time())
        claims = {
            "iss": self.url,
            "aud": "envcli-index",
            "sub": account or str(uuid.uuid4()),
            "publisher": publisher,
            "scope": ["upload", "receipt", "publish-status"],
            "jti": uuid.uuid4().hex,
            "iat": now,
            "exp": now + 3600,
        }
        return "envcli-" + self.signed(_changed(claims, changes), typ="envcli-api+jwt")

    def signed(self, claims: dict[str, Any], **header: Any) -> str:
        """Return ``claims`` signed with the issuer's key."""
        return jwt.encode({"alg": "ES256", "kid": self.key.kid, **header}, claims, self.key)

    def document(self, path: str) -> dict[str, Any] | None:
        """Return what ``path`` answers, or None."""
        self.requests.append(path)
        if path == "/.well-known/jwks.json":
            return {"keys": [self.key.as_dict(private=False), *self.further_keys]}
        if path == "/.well-known/openid-configuration":
            return {"issuer": self.url, "jwks_uri": f"{self.url}/.well-known/jwks.json"}
        if path == "/tokens/revoked.json":
            now = int(time.time())
            claims = {"iss": self.url, "iat": now, "exp": now + 300, "revoked": self.revoked}
            return {"jwt": self.signed(claims)}
        return None


@contextmanager
def running_issuer(port: int = 0) -> Iterator[OidcIssuer]:
    """Serve an issuer on a loopback port (a free one by default)."""
    server = ThreadingHTTPServer(("127.0.0.1", port), _Handler)
    server.daemon_threads = True
    issuer = OidcIssuer(f"http://127.0.0.1:{server.server_address[1]}")
    server.issuer = issuer  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield issuer
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        document = self.server.issuer.document(self.path)  # type: ignore[attr-defined]
        body = json.dumps(document or {"error": "not found"}).encode()
        self.send_response(200 if document else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Say nothing: tests read ``requests``."""


def _changed(claims: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**claims, **changes}.items() if value is not None}
