"""Codes and tokens of the provider, as far as they touch the database."""

import hashlib

from flask import current_app
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from envcli_web.database import now
from envcli_web.identity.models import AuthorizationCode
from envcli_web.identity.tokens import TokenError, TokenIssuer
from envcli_web.portal import services as portal
from envcli_web.portal.models import ApiToken


def token_issuer() -> TokenIssuer:
    """Return the issuer of the present application."""
    issuer: TokenIssuer = current_app.extensions["envcli_token_issuer"]
    return issuer


def verify_api_token(session: Session, text: str, scope: str) -> ApiToken:
    """Return the live token that ``text`` is.

    Raises:
        TokenError: it is invalid, revoked, or does not have ``scope``.
    """
    claims = token_issuer().verify_api_token(text)
    found = portal.find_live_token(session, claims.jti)
    if found is None:
        raise TokenError("The token was revoked", remedy="Make a new one on the publisher's page")
    if scope not in claims.scope:
        raise TokenError(f"The token does not allow {scope}", remedy="Make one that does")
    return found


def code_digest(code: str) -> str:
    """Return the form in which a code is stored."""
    return hashlib.sha256(code.encode()).hexdigest()


def take_code(session: Session, code: str, client_id: str) -> AuthorizationCode | None:
    """Remove a code and return what it stood for: it works once, even when the exchange then fails."""
    found = session.scalar(
        select(AuthorizationCode).where(AuthorizationCode.code_sha256 == code_digest(code))
    )
    session.execute(delete(AuthorizationCode).where(AuthorizationCode.expires <= now()))
    if found is None:
        return None
    session.execute(delete(AuthorizationCode).where(AuthorizationCode.code_sha256 == found.code_sha256))
    if found.client_id != client_id or found.expires <= now():
        return None
    return found


def may_act(session: Session, account_uuid: str, publisher_uuid: str) -> bool:
    """Return whether the account is active and a member of the publisher at this moment."""
    return portal.is_member(session, account_uuid, publisher_uuid)
