"""Identity tokens: which JSON Web Tokens the certificate authority accepts, and the issuers' keys it checks
them with.

A token is accepted only if all of this holds: signed with ES256 by a key of a trusted issuer; audience
``sigstore`` alone; issued at most ten minutes ago, living at most ten minutes; subject
``<issuer>/publishers/<uuid>``.
"""

import json
import re
import time
from dataclasses import dataclass
from typing import Any

from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from envcli_index.trust.errors import TokenError
from envcli_index.trust.jwks import IssuerKeys

AUDIENCE = "sigstore"
ALGORITHM = "ES256"
MAX_AGE = 600
LEEWAY = 10
MAX_TOKEN = 8192
_FAR_FUTURE = 1 << 40
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_TYPES = (None, "JWT")


@dataclass(frozen=True)
class Identity:
    """Who a token speaks for: the publisher's URI and the issuer that vouches for it."""

    subject: str
    issuer: str


class TokenVerifier:
    """Checks identity tokens against the keys of trusted issuers."""

    def __init__(self, issuers: tuple[IssuerKeys, ...]) -> None:
        """Trust ``issuers`` and nobody else."""
        self._issuers = {keys.issuer: keys for keys in issuers}

    def verify(self, token: str) -> Identity:
        """Return the identity that ``token`` proves now.

        Raises:
            TokenError: the token breaks one of the rules; the message says which and never repeats the token.
            IssuerUnavailableError: the issuer's keys cannot be fetched.
        """
        keys = self._keys_of(token)
        claims = _verified_claims(token, keys.key_set(_key_name(token)))
        _check_times(claims, time.time())
        if claims.get("aud") != AUDIENCE:
            raise TokenError(f"the token's audience is not {AUDIENCE!r} alone; ask the issuer for another")
        return Identity(_checked_subject(claims.get("sub"), keys.issuer), keys.issuer)

    def _keys_of(self, token: str) -> IssuerKeys:
        issuer = _unverified_claims(token).get("iss")
        keys = self._issuers.get(issuer) if isinstance(issuer, str) else None
        if keys is None:
            raise TokenError("the token's issuer is not trusted here; sign in at the site of this index")
        return keys


def _key_name(token: str) -> str:
    """Return the key id of a header that names ES256 and nothing unusual."""
    header = _parsed(token).headers()
    if header.get("alg") != ALGORITHM or header.get("typ") not in _TYPES:
        raise TokenError(f"the token is not an identity token signed with {ALGORITHM}")
    name = header.get("kid")
    if not isinstance(name, str) or not name:
        raise TokenError("the token names no key; the issuer must set the kid header")
    return name


def _parsed(token: str) -> jws.CompactSignature:
    if len(token) > MAX_TOKEN:
        raise TokenError(f"the token is longer than {MAX_TOKEN} characters")
    try:
        return jws.extract_compact(token.encode("ascii"))
    except (JoseError, ValueError) as error:
        raise TokenError(f"the token is no signed JSON Web Token ({type(error).__name__})") from error


def _unverified_claims(token: str) -> dict[str, Any]:
    try:
        claims = json.loads(_parsed(token).payload)
    except (ValueError, RecursionError) as error:
        raise TokenError("the token's claims are not JSON") from error
    if not isinstance(claims, dict):
        raise TokenError("the token's claims are not an object")
    return claims


def _verified_claims(token: str, keys: KeySet) -> dict[str, Any]:
    try:
        return jwt.decode(token, keys, algorithms=[ALGORITHM]).claims
    except (JoseError, ValueError) as error:
        raise TokenError(f"the token's signature does not verify ({type(error).__name__})") from error


def _check_times(claims: dict[str, Any], now: float) -> None:
    issued, expires = _time(claims, "iat"), _time(claims, "exp")
    start = _time(claims, "nbf") if "nbf" in claims else issued
    if issued > now + LEEWAY or start > now + LEEWAY:
        raise TokenError("the token is from the future; compare the clocks of issuer and authority")
    if now - issued > MAX_AGE or expires - issued > MAX_AGE:
        raise TokenError(f"the token is older or lives longer than {MAX_AGE} seconds; ask for a new one")
    if now >= expires:
        raise TokenError("the token has expired; ask for a new one")


def _time(claims: dict[str, Any], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < _FAR_FUTURE:
        raise TokenError(f"the token has no {name} claim in seconds since 1970")
    return float(value)


def _checked_subject(subject: Any, issuer: str) -> str:
    prefix = f"{issuer}/publishers/"
    if (
        not isinstance(subject, str)
        or not subject.startswith(prefix)
        or not _UUID.fullmatch(subject[len(prefix) :])
    ):
        raise TokenError("the token's subject is no publisher of its issuer (<issuer>/publishers/<uuid>)")
    return subject
