"""API tokens, verified without asking the site: by its published keys and its signed list of revoked tokens.

Both are kept for a minute and reused for five at most when the site cannot be reached; then every write is
refused, because a revoked token could no longer be told from a good one.
Sources: RFC 7519 (JWT), RFC 8725 (best practice: fixed algorithm, typ, audience).
"""

import json
import threading
import time
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from envcli_index.trust.files import write_whole
from envcli_index.upload.errors import GateError

TOKEN_PREFIX = "envcli-"  # noqa: S105 not a secret: it lets scanners recognise leaked tokens
TOKEN_TYPE = "envcli-api+jwt"  # noqa: S105
AUDIENCE = "envcli-index"
ALGORITHM = "ES256"
UPLOAD_SCOPE = "upload"

FRESH_SECONDS = 60.0
STALE_SECONDS = 300.0
CLOCK_TOLERANCE_SECONDS = 30.0
UNKNOWN_KEY_PAUSE_SECONDS = 5.0
FETCH_TIMEOUT_SECONDS = 3.0
MAX_TOKEN = 8_000
MAX_DOCUMENT = 8 * 1024 * 1024


@dataclass(frozen=True)
class Principal:
    """Who uploads.

    Attributes:
        account: uuid of the person's or service's account.
        publisher: uuid of the publisher profile.
        name: the publisher's display name.
        identity: URI that certificates of this publisher name.
        issuer: the site's URL.
        token_id: ``jti`` of the token, for the log.
    """

    account: str
    publisher: str
    name: str
    identity: str
    issuer: str
    token_id: str


@dataclass(frozen=True)
class IssuerState:
    """The site's keys and revocations, and the time (seconds since the epoch) they describe."""

    keys: KeySet
    revoked: frozenset[str]
    as_of: float


class TokenVerifier:
    """Verifies API tokens of one site.

    Args:
        web_url: the site; issuer of the tokens.
        cache: file that survives restarts; holds public data only.
    """

    def __init__(self, web_url: str, cache: Path) -> None:
        self._web_url = web_url
        self._cache = cache
        self._lock = threading.Lock()
        self._state: IssuerState | None = None
        self._next_fetch = 0.0

    def verify(self, token: str) -> Principal:
        """Verify a token and return whom it speaks for.

        Args:
            token: ``envcli-`` and a JWT.

        Raises:
            GateError: ``token-invalid`` (401), ``token-scope`` (403) or ``token-revocation-stale`` (503).
        """
        if not token.startswith(TOKEN_PREFIX) or len(token) > MAX_TOKEN:
            raise _invalid("it is no API token of this marketplace")
        compact = token.removeprefix(TOKEN_PREFIX)
        state = self._current(_key_id(compact))
        claims = self._claims(compact, state)
        if claims["jti"] in state.revoked:
            raise _invalid("it was revoked")
        return self._principal(claims)

    def _claims(self, compact: str, state: IssuerState) -> dict[str, Any]:
        try:
            token = jwt.decode(compact, state.keys, algorithms=[ALGORITHM])
            _registry(iss=self._web_url, aud=AUDIENCE).validate(token.claims)
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise _invalid(_reason(error)) from error
        claims: dict[str, Any] = token.claims
        if token.header.get("typ") != TOKEN_TYPE or not isinstance(claims["jti"], str):
            raise _invalid("it is another kind of token")
        return claims

    def _principal(self, claims: dict[str, Any]) -> Principal:
        publisher, scope = str(claims.get("publisher")), claims.get("scope")
        if not isinstance(scope, list) or UPLOAD_SCOPE not in scope or not _is_uuid(publisher):
            raise GateError(
                "token-scope",
                "the token may not upload, or its account has no publisher profile",
                remedy="Create a token with the scope upload for a publisher on the site",
                status=HTTPStatus.FORBIDDEN,
            )
        name = str(claims.get("publisher_name") or publisher)
        if not name.isprintable():
            raise _invalid("its publisher's name holds unprintable characters")
        return Principal(
            account=str(claims["sub"]),
            publisher=publisher,
            name=name[:200],
            identity=f"{self._web_url}/publishers/{publisher}",
            issuer=self._web_url,
            token_id=claims["jti"],
        )

    def _current(self, key_id: str) -> IssuerState:
        """Return keys and revocations, fetched again when they are old or do not know the key."""
        with self._lock:
            now = time.time()
            state = self._state or self._read_cache()
            unknown = state is not None and key_id not in {key.kid for key in state.keys.keys}
            if state is None or not 0 <= now - state.as_of <= FRESH_SECONDS or unknown:
                state = self._fetched(state, now)
            self._state = state
            if state is None or not 0 <= now - state.as_of <= STALE_SECONDS:  # or the clock went back
                raise GateError(
                    "token-revocation-stale",
                    "the site's keys and revoked tokens could not be fetched for five minutes",
                    remedy="Try again when the site is up",
                    status=HTTPStatus.SERVICE_UNAVAILABLE,
                )
            return state

    def _fetched(self, state: IssuerState | None, now: float) -> IssuerState | None:
        if now < self._next_fetch:
            return state
        self._next_fetch = now + UNKNOWN_KEY_PAUSE_SECONDS if state is not None else now + 1.0
        try:
            with httpx.Client(timeout=FETCH_TIMEOUT_SECONDS, trust_env=False) as client:
                keys = _download(client, f"{self._web_url}/.well-known/jwks.json")
                revoked = _download(client, f"{self._web_url}/tokens/revoked.json")
            fresh = self._parse(keys, revoked, now)
        except (
            httpx.HTTPError,
            JoseError,
            ValueError,
            TypeError,
            KeyError,
            AttributeError,
            RecursionError,
        ):
            return state  # the caller judges by age whether what is there may still be used
        self._write_cache(keys, revoked)
        return fresh

    def _parse(self, keys: Any, revoked: Any, now: float) -> IssuerState:
        key_set = KeySet.import_key_set(keys)
        token = jwt.decode(revoked["jwt"], key_set, algorithms=[ALGORITHM])
        _registry(iss=self._web_url).validate(token.claims)
        listed = token.claims["revoked"]
        if not isinstance(listed, list) or "aud" in token.claims:
            raise ValueError("not a list of revoked tokens")
        return IssuerState(key_set, frozenset(map(str, listed)), min(now, float(token.claims["iat"])))

    def _read_cache(self) -> IssuerState | None:
        try:
            stored = json.loads(self._cache.read_bytes())
            return self._parse(stored["keys"], stored["revoked"], time.time())
        except (OSError, JoseError, ValueError, TypeError, KeyError, AttributeError):
            return None

    def _write_cache(self, keys: Any, revoked: Any) -> None:
        self._cache.parent.mkdir(parents=True, exist_ok=True)
        write_whole(self._cache, json.dumps({"keys": keys, "revoked": revoked}).encode())


def _download(client: httpx.Client, url: str) -> Any:
    """Return a JSON document; a site that drips or pours must not hold up every upload."""
    body, deadline = bytearray(), time.monotonic() + FETCH_TIMEOUT_SECONDS
    with client.stream("GET", url) as answer:
        answer.raise_for_status()
        for part in answer.iter_bytes():
            body += part
            if len(body) > MAX_DOCUMENT or time.monotonic() > deadline:
                raise ValueError(f"{url} is too large or too slow")
    return json.loads(body)


def _registry(**expected: str) -> jwt.JWTClaimsRegistry:
    options: dict[str, Any] = {name: {"essential": True, "value": value} for name, value in expected.items()}
    required: dict[str, Any] = {name: {"essential": True} for name in ("iat", "exp")}
    if "aud" in expected:
        required |= {name: {"essential": True} for name in ("sub", "jti")}
    return jwt.JWTClaimsRegistry(leeway=int(CLOCK_TOLERANCE_SECONDS), **required, **options)


def _key_id(compact: str) -> str:
    try:
        from joserfc.jws import extract_compact

        return str(extract_compact(compact.encode("ascii")).headers()["kid"])
    except (JoseError, ValueError, KeyError, TypeError) as error:
        raise _invalid("it is no signed JWT with a key id") from error


def _is_uuid(value: str) -> bool:
    try:
        return str(UUID(value)) == value
    except ValueError:
        return False


def _reason(error: Exception) -> str:
    return f"it does not verify ({str(error)[:120]})"


def _invalid(why: str) -> GateError:
    return GateError(
        "token-invalid",
        f"the API token is refused: {why}",
        remedy="Create a token on the site and use it as the password of __token__",
        status=HTTPStatus.UNAUTHORIZED,
    )
