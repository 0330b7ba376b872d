"""The signed tokens of the site. Each kind has its own type and audience, so that none can stand for another.

=================  =======================  ===================  ==========================================
kind               ``typ`` header           audience             life
=================  =======================  ===================  ==========================================
API token          ``envcli-api+jwt``       ``envcli-index``     chosen by the publisher, at most 366 days
identity token     ``JWT``                  ``sigstore``         10 minutes at most
revocation list    ``envcli-revoked+jwt``   (none)               5 minutes
=================  =======================  ===================  ==========================================

Sources: RFC 7519 (JWT), RFC 8725 (best current practices: explicit typing, one algorithm).
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet

from envcli_web.errors import ForbiddenError
from envcli_web.identity.keys import ALGORITHM

API_PREFIX = "envcli-"
API_TYPE = "envcli-api+jwt"
API_AUDIENCE = "envcli-index"
API_SCOPE = ("upload", "receipt", "publish-status")
IDENTITY_TYPE = "JWT"
IDENTITY_AUDIENCE = "sigstore"
IDENTITY_LIFE = 600
REVOKED_TYPE = "envcli-revoked+jwt"
REVOKED_LIFE = 300
MAX_TOKEN_LENGTH = 4096


class TokenError(ForbiddenError):
    """A token is malformed, of another kind, expired, revoked or not signed by this site."""

    status = HTTPStatus.UNAUTHORIZED


@dataclass(frozen=True)
class ApiClaims:
    """What a verified API token says."""

    jti: str
    account_uuid: str
    publisher_uuid: str | None
    scope: tuple[str, ...]


class TokenIssuer:
    """Signs and verifies the site's tokens.

    Args:
        keys: the provider's private keys; the first one signs.
        issuer: public URL of the site.
    """

    def __init__(self, keys: KeySet, issuer: str) -> None:
        self._keys = keys
        self.issuer = issuer

    @property
    def jwks(self) -> dict[str, Any]:
        """The public keys as a JWK set."""
        return dict(self._keys.as_dict(private=False))

    def _sign(self, kind: str, claims: dict[str, Any]) -> str:
        key = self._keys.keys[0]
        assert isinstance(key, ECKey)  # noqa: S101 - load_keys admits nothing else
        header = {"alg": ALGORITHM, "kid": key.kid, "typ": kind}
        return jwt.encode(header, {"iss": self.issuer, **claims}, key, algorithms=[ALGORITHM])

    def _verify(self, text: str, kind: str, audience: str) -> dict[str, Any]:
        if len(text) > MAX_TOKEN_LENGTH:
            raise TokenError("The token is too long")
        try:
            token = jwt.decode(text, self._keys, algorithms=[ALGORITHM])
            if token.header.get("typ") != kind:
                raise TokenError("This kind of token is not accepted here")
            rules = jwt.JWTClaimsRegistry(
                iss={"essential": True, "value": self.issuer},
                aud={"essential": True, "value": audience},
                sub={"essential": True},
                exp={"essential": True},
                iat={"essential": True},
            )
            rules.validate(token.claims)
        except (JoseError, ValueError, TypeError) as error:
            raise TokenError(
                "The token is not valid", remedy="Make a new one on the publisher's page"
            ) from error
        return token.claims

    def sign_api_token(
        self,
        *,
        jti: str,
        account: str,
        publisher: str | None,
        publisher_name: str | None,
        scope: Sequence[str],
        expires: int,
    ) -> str:
        """Return the text of an API token that ends at ``expires`` (seconds since the epoch)."""
        claims = {
            "aud": API_AUDIENCE,
            "sub": account,
            "publisher": publisher,
            "publisher_name": publisher_name,
            "scope": list(scope),
            "jti": jti,
            "iat": int(time.time()),
            "exp": expires,
        }
        return API_PREFIX + self._sign(API_TYPE, claims)

    def verify_api_token(self, text: str) -> ApiClaims:
        """Return what an API token says. Whether it was revoked is for the caller to look up.

        Raises:
            TokenError: it is not a valid API token of this site.
        """
        if not text.startswith(API_PREFIX):
            raise TokenError("This is not an API token of this site")
        claims = self._verify(text.removeprefix(API_PREFIX), API_TYPE, API_AUDIENCE)
        jti, scope, publisher = claims.get("jti"), claims.get("scope"), claims.get("publisher")
        if not isinstance(jti, str) or not isinstance(scope, list):
            raise TokenError("The token is not valid")
        return ApiClaims(
            jti=jti,
            account_uuid=str(claims["sub"]),
            publisher_uuid=publisher if isinstance(publisher, str) else None,
            scope=tuple(str(item) for item in scope),
        )

    def identity_of(self, publisher_uuid: str) -> str:
        """Return the URI that certificates name for a publisher."""
        return f"{self.issuer}/publishers/{publisher_uuid}"

    def sign_identity_token(self, publisher_uuid: str, nonce: str | None = None) -> str:
        """Return a token that tells a certificate authority who signs, for at most ten minutes."""
        moment = int(time.time())
        claims: dict[str, Any] = {
            "aud": IDENTITY_AUDIENCE,
            "sub": self.identity_of(publisher_uuid),
            "iat": moment,
            "nbf": moment,
            "exp": moment + IDENTITY_LIFE,
        }
        if nonce:
            claims["nonce"] = nonce
        return self._sign(IDENTITY_TYPE, claims)

    def sign_revocations(self, revoked: Sequence[str]) -> str:
        """Return the signed list of the API tokens that were ended before their time."""
        moment = int(time.time())
        return self._sign(
            REVOKED_TYPE, {"iat": moment, "exp": moment + REVOKED_LIFE, "revoked": list(revoked)}
        )
