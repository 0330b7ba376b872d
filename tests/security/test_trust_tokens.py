"""Tokens that the certificate authority must refuse, each for the rule it breaks."""

import base64
import hmac
import json
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from common.oidc_issuer import OidcIssuer, running_issuer
from envcli_index.trust import jwks
from envcli_index.trust.errors import IssuerUnavailableError, TokenError
from envcli_index.trust.jwks import IssuerKeys
from envcli_index.trust.tokens import MAX_TOKEN, TokenVerifier
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey


@pytest.fixture(scope="module")
def issuer() -> Iterator[OidcIssuer]:
    with running_issuer() as running:
        yield running


@pytest.fixture
def verifier(issuer: OidcIssuer, tmp_path: Path) -> TokenVerifier:
    return TokenVerifier((IssuerKeys(issuer.url, tmp_path),))


def unsigned(header: dict[str, Any], claims: dict[str, Any], signature: str = "") -> str:
    """A token whose parts are put together by hand."""
    parts = [
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in (header, claims)
    ]
    return ".".join([*parts, signature])


def test_acceptable_token_names_the_publisher(issuer: OidcIssuer, verifier: TokenVerifier) -> None:
    identity = verifier.verify(issuer.identity_token())
    assert (identity.subject, identity.issuer) == (issuer.identity(), issuer.url)


NOW = time.time


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"aud": "envcli-index"}, "audience"),
        ({"aud": ["sigstore"]}, "audience"),
        ({"aud": ["sigstore", "other"]}, "audience"),
        ({"aud": None}, "audience"),
        ({"iat": lambda: NOW() - 601, "nbf": None, "exp": lambda: NOW() + 1}, "older"),
        ({"iat": lambda: NOW() - 1, "exp": lambda: NOW() + 3600}, "lives longer"),
        ({"exp": lambda: NOW() - 1}, "expired"),
        ({"iat": lambda: NOW() + 60, "nbf": None}, "future"),
        ({"nbf": lambda: NOW() + 60}, "future"),
        ({"iat": None}, "no iat"),
        ({"exp": None}, "no exp"),
        ({"iat": "now"}, "no iat"),
        ({"iat": True}, "no iat"),
        ({"exp": 1e400}, "no exp"),
        ({"exp": -1}, "no exp"),
        ({"sub": None}, "subject"),
        ({"sub": "somebody"}, "subject"),
        ({"sub": "https://elsewhere.example/publishers/7a5c3d0e-2f63-4f0a-9d68-0e8fbb0f1c11"}, "subject"),
        ({"iss": "https://elsewhere.example"}, "not trusted"),
        ({"iss": None}, "not trusted"),
        ({"iss": ["x"]}, "not trusted"),
    ],
)
def test_claims_that_are_refused(
    issuer: OidcIssuer, verifier: TokenVerifier, changes: dict[str, Any], rule: str
) -> None:
    values = {name: int(value()) if callable(value) else value for name, value in changes.items()}
    with pytest.raises(TokenError, match=rule):
        verifier.verify(issuer.identity_token(**values))


@pytest.mark.parametrize(
    "tail",
    ["", "/..", "/../x", "?x", "#x", " ", "\n", "/accounts/1", "@example.org", "%2e%2e"],
)
def test_subject_must_end_in_the_uuid(issuer: OidcIssuer, verifier: TokenVerifier, tail: str) -> None:
    subject = issuer.identity() + tail if tail else issuer.identity(str(uuid.uuid1()))
    with pytest.raises(TokenError, match="subject"):
        verifier.verify(issuer.identity_token(sub=subject))


def test_issuer_that_is_a_prefix_or_has_a_slash_is_foreign(
    issuer: OidcIssuer, verifier: TokenVerifier
) -> None:
    for name in (issuer.url + "/", issuer.url[:-1], issuer.url.upper()):
        with pytest.raises(TokenError, match="not trusted"):
            verifier.verify(issuer.identity_token(iss=name))


def test_algorithm_none(issuer: OidcIssuer, verifier: TokenVerifier) -> None:
    for name in ("none", "None", "NONE"):
        header = {"alg": name, "kid": issuer.key.kid}
        with pytest.raises(TokenError):
            verifier.verify(unsigned(header, issuer.identity_claims()))


def test_public_key_used_as_an_hmac_secret(issuer: OidcIssuer, verifier: TokenVerifier) -> None:
    claims = issuer.identity_claims()
    for secret in (issuer.key.as_pem(private=False), json.dumps(issuer.key.as_dict(private=False)).encode()):
        signed = unsigned({"alg": "HS256", "kid": issuer.key.kid}, claims)[:-1]
        code = hmac.digest(secret, signed.encode(), "sha256")
        forged = f"{signed}.{base64.urlsafe_b64encode(code).decode().rstrip('=')}"
        with pytest.raises(TokenError):
            verifier.verify(forged)


def test_other_kinds_of_keys_in_the_issuers_set_are_not_used(
    issuer: OidcIssuer, verifier: TokenVerifier
) -> None:
    symmetric, rsa = OctKey.generate_key(256, auto_kid=True), RSAKey.generate_key(2048, auto_kid=True)
    issuer.further_keys = [symmetric.as_dict(private=True), rsa.as_dict(private=False)]
    try:
        for key, algorithm in ((symmetric, "HS256"), (rsa, "RS256")):
            header = {"alg": algorithm, "kid": key.kid}
            forged = jwt.encode(header, issuer.identity_claims(), key, algorithms=[algorithm])
            with pytest.raises(TokenError):
                verifier.verify(forged)
        verifier.verify(issuer.identity_token())
    finally:
        issuer.further_keys = []


def test_keys_that_a_token_brings_along_are_not_used(issuer: OidcIssuer, verifier: TokenVerifier) -> None:
    own = ECKey.generate_key("P-256", auto_kid=True)
    for header in (
        {"alg": "ES256", "kid": own.kid, "jwk": own.as_dict(private=False)},
        {"alg": "ES256", "kid": issuer.key.kid, "jwk": own.as_dict(private=False)},
        {"alg": "ES256", "kid": own.kid, "jku": "http://127.0.0.1:1/keys"},
    ):
        with pytest.raises(TokenError):
            verifier.verify(jwt.encode(header, issuer.identity_claims(), own))


@pytest.mark.parametrize(
    "header",
    [
        {"kid": None},
        {"kid": ""},
        {"kid": 7},
        {"typ": "envcli-api+jwt"},
        {"typ": "at+jwt"},
        {"crit": ["x"], "x": 1},
        {"b64": False, "crit": ["b64"]},
    ],
)
def test_unusual_headers(issuer: OidcIssuer, verifier: TokenVerifier, header: dict[str, Any]) -> None:
    complete = {"alg": "ES256", "kid": issuer.key.kid, **header}
    signature = issuer.identity_token().rpartition(".")[2]
    with pytest.raises(TokenError):
        verifier.verify(unsigned(complete, issuer.identity_claims(), signature))


def test_api_token_is_no_identity_token(issuer: OidcIssuer, verifier: TokenVerifier) -> None:
    for token in (issuer.api_token(), issuer.api_token().removeprefix("envcli-")):
        with pytest.raises(TokenError):
            verifier.verify(token)


def test_changed_claims(issuer: OidcIssuer, verifier: TokenVerifier) -> None:
    header, _, signature = issuer.identity_token().split(".")
    claims = issuer.identity_claims(str(uuid.uuid4()))
    payload = unsigned({}, claims).split(".")[1]
    with pytest.raises(TokenError, match="signature"):
        verifier.verify(f"{header}.{payload}.{signature}")


@pytest.mark.parametrize("token", ["", ".", "..", "a.b.c", "ä.b.c", "a.b.c.d", "\0", "x" * (MAX_TOKEN + 1)])
def test_what_is_no_token(verifier: TokenVerifier, token: str) -> None:
    with pytest.raises(TokenError):
        verifier.verify(token)


def test_message_never_repeats_the_token(issuer: OidcIssuer, verifier: TokenVerifier) -> None:
    token = issuer.identity_token(aud="other")
    with pytest.raises(TokenError) as caught:
        verifier.verify(token)
    assert not any(part in str(caught.value) for part in token.split("."))


def test_keys_are_fetched_once_and_kept_across_a_restart(tmp_path: Path) -> None:
    with running_issuer() as issuer:
        verifier = TokenVerifier((IssuerKeys(issuer.url, tmp_path),))
        for _ in range(3):
            verifier.verify(issuer.identity_token())
        assert len(issuer.requests) == 1
        token = issuer.identity_token()
    TokenVerifier((IssuerKeys(issuer.url, tmp_path),)).verify(token)


def test_old_keys_are_not_used_when_the_issuer_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_issuer() as issuer:
        keys = IssuerKeys(issuer.url, tmp_path)
        TokenVerifier((keys,)).verify(issuer.identity_token())
        token = issuer.identity_token()
    monkeypatch.setattr(jwks, "MAX_AGE", 0.0)
    for kept in (keys, IssuerKeys(issuer.url, tmp_path)):
        with pytest.raises(IssuerUnavailableError):
            TokenVerifier((kept,)).verify(token)


def test_new_key_of_the_issuer_is_noticed_and_the_old_one_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jwks, "_PAUSE", 0.0)
    with running_issuer() as issuer:
        verifier = TokenVerifier((IssuerKeys(issuer.url, tmp_path),))
        old = issuer.identity_token()
        verifier.verify(old)
        issuer.key = ECKey.generate_key("P-256", auto_kid=True)
        verifier.verify(issuer.identity_token())
        with pytest.raises(TokenError):
            verifier.verify(old)


def test_endless_key_set_is_cut_off(tmp_path: Path) -> None:
    with running_issuer() as issuer:
        issuer.further_keys = [{"kty": "oct", "k": "A" * jwks.MAX_BYTES}]
        with pytest.raises(IssuerUnavailableError, match="longer"):
            TokenVerifier((IssuerKeys(issuer.url, tmp_path),)).verify(issuer.identity_token())
