"""What every answer and every request has to pass: security headers, cross-site requests, safe redirects.

The rule against cross-site request forgery follows Go's ``net/http.CrossOriginProtection``: modern browsers say with
``Sec-Fetch-Site`` (https://www.w3.org/TR/fetch-metadata/) or ``Origin`` where a request comes from. A request that
changes something and carries cookies must come from this very origin. Clients with tokens send no cookies.
"""

from urllib.parse import urlsplit

from flask import Flask, Response, abort, g, request

from envcli_web.config import WebConfig

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
JSON_PREFIXES = ("/api/", "/oauth/token", "/.well-known/", "/tokens/revoked.json")
CSP = {
    "default-src": "'none'",
    "style-src": "'self'",
    "img-src": "'self'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
    "base-uri": "'none'",
}
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # "no-referrer" would make browsers send "Origin: null" with our own forms.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}


def wants_json() -> bool:
    """Return whether the present request came to one of the machine interfaces."""
    return request.path.startswith(JSON_PREFIXES)


def origin_of(url: str) -> str:
    """Return scheme, host and port of ``url`` as browsers write them in ``Origin``."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}".lower()


def allow_form_target(origin: str) -> None:
    """Let forms of the present page lead, after a redirect, to ``origin`` (used by the sign-in of local tools)."""
    g.form_target = origin


def is_local_path(target: str | None) -> bool:
    """Return whether ``target`` is a path of this site, so that a redirect to it cannot leave the site."""
    if not target or not target.startswith("/") or target.startswith("//"):
        return False
    return "\\" not in target and target.isprintable() and not urlsplit(target).netloc


def is_cross_site(own_origin: str) -> bool:
    """Return whether the present request was made by another site and so must change nothing.

    Args:
        own_origin: origin of this site.
    """
    if request.method in SAFE_METHODS:
        return False
    fetch_site = request.headers.get("Sec-Fetch-Site")
    if fetch_site is not None:
        return fetch_site not in {"same-origin", "none"}
    origin = request.headers.get("Origin")
    if origin is not None:
        return origin.lower() != own_origin
    return bool(request.cookies)


def _content_security_policy() -> str:
    policy = dict(CSP)
    target = g.get("form_target")
    if target:
        policy["form-action"] += f" {target}"
    return "; ".join(f"{name} {value}" for name, value in policy.items())


def init_app(app: Flask, config: WebConfig) -> None:
    """Register the request and response rules on ``app``."""
    own_origin = origin_of(config.url)

    @app.before_request
    def _refuse_cross_site() -> None:
        if is_cross_site(own_origin):
            abort(403, "This request came from another site, or from a client that hides where it comes from")

    @app.after_request
    def _add_headers(response: Response) -> Response:
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        response.headers.setdefault("Content-Security-Policy", _content_security_policy())
        response.headers.setdefault("Cache-Control", "private, no-cache")
        if config.is_https:
            response.headers.setdefault("Strict-Transport-Security", "max-age=63072000; includeSubDomains")
        return response
