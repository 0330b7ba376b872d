"""Publishers and their tokens."""

import unicodedata
from datetime import timedelta
from typing import NamedTuple
from uuid import uuid4

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from envcli_web.accounts.models import Account
from envcli_web.database import now
from envcli_web.errors import ConflictError, ForbiddenError, NotFoundError, WebError
from envcli_web.identity.tokens import API_SCOPE, TokenIssuer
from envcli_web.portal.models import ApiToken, Membership, Publisher

MAX_PUBLISHERS = 10
MAX_LIVE_TOKENS = 50
NAME_LENGTH = range(3, 61)
OWN_VOICE = ("envcli", "administrator", "official")  # names that could be taken for the marketplace's own
LOOK_ALIKE_SCRIPTS = frozenset({"ARMENIAN", "CHEROKEE", "COPTIC", "CYRILLIC", "GREEK"})


class IssuedToken(NamedTuple):
    """A token right after it was made: the only moment when its text is known."""

    row: ApiToken
    text: str


def _checked_name(name: str) -> str:
    shown = unicodedata.normalize("NFKC", " ".join(name.split()))
    if len(shown) not in NAME_LENGTH or not shown.isprintable():
        raise WebError("A publisher's name has 3 to 60 printable characters")
    scripts = {unicodedata.name(letter, "?").split()[0] for letter in shown if letter.isalpha()}
    if "LATIN" in scripts and scripts & LOOK_ALIKE_SCRIPTS:
        raise WebError("A publisher's name does not mix letters of alphabets that look alike")
    if any(voice in _name_key(shown) for voice in OWN_VOICE):
        raise WebError("The name could be taken for the marketplace's own", remedy="Choose another one")
    return shown


def _name_key(shown: str) -> str:
    """Return what two names must differ in: letters and digits, whatever stands between them and in any case."""
    return "".join(letter for letter in shown.casefold() if letter.isalnum()) or shown.casefold()


def create_publisher(session: Session, account: Account, name: str) -> Publisher:
    """Create a publisher whose first member is ``account``.

    Raises:
        WebError: the name has the wrong form.
        ConflictError: the name is taken, or the account has too many publishers.
    """
    shown = _checked_name(name)
    if len(list_publishers(session, account)) >= MAX_PUBLISHERS:
        raise ConflictError(f"An account can have at most {MAX_PUBLISHERS} publishers")
    publisher = Publisher(name=shown, name_key=_name_key(shown), uuid=str(uuid4()))
    session.add(publisher)
    try:
        session.flush()
    except IntegrityError as error:
        raise ConflictError(f"The name {shown} is taken", remedy="Choose another one") from error
    session.add(Membership(publisher_uuid=publisher.uuid, account_uuid=account.uuid))
    return publisher


def list_publishers(session: Session, account: Account) -> list[Publisher]:
    """Return the publishers that ``account`` may act for, by name."""
    query = select(Publisher).join(Membership).where(Membership.account_uuid == account.uuid)
    return list(session.scalars(query.order_by(Publisher.name_key)))


def find_publisher(session: Session, uuid: str) -> Publisher:
    """Return the publisher ``uuid``.

    Raises:
        NotFoundError: there is none.
    """
    publisher = session.get(Publisher, uuid)
    if publisher is None:
        raise NotFoundError("There is no such publisher")
    return publisher


def is_member(session: Session, account_uuid: str, publisher_uuid: str) -> bool:
    """Return whether the account is active and a member of the publisher."""
    found = session.get(Membership, (publisher_uuid, account_uuid))
    return found is not None and found.account.is_active


def own_publisher(session: Session, account: Account, uuid: str) -> Publisher:
    """Return the publisher ``uuid``, which ``account`` may act for.

    Raises:
        NotFoundError: there is none, or it is somebody else's.
    """
    if not is_member(session, account.uuid, uuid):
        raise NotFoundError("There is no such publisher among yours")
    return find_publisher(session, uuid)


def list_tokens(session: Session, account: Account) -> list[ApiToken]:
    """Return the tokens of ``account``, newest first."""
    query = select(ApiToken).where(ApiToken.account_uuid == account.uuid)
    return list(session.scalars(query.order_by(ApiToken.created.desc()).limit(200)))


def issue_token(
    session: Session,
    issuer: TokenIssuer,
    account: Account,
    *,
    publisher: Publisher | None,
    label: str,
    days: int,
) -> IssuedToken:
    """Make an API token.

    Args:
        session: a writing session.
        issuer: signs the token.
        account: who it belongs to.
        publisher: whom it may publish for; without one it can only post receipts.
        label: what its owner calls it.
        days: how long it lives.

    Raises:
        ForbiddenError: the account is not a member of the publisher.
        ConflictError: the account has too many live tokens.
    """
    if publisher is not None and not is_member(session, account.uuid, publisher.uuid):
        raise ForbiddenError(f"You are not a member of {publisher.name}")
    if sum(token.is_live for token in list_tokens(session, account)) >= MAX_LIVE_TOKENS:
        raise ConflictError(
            f"An account can have at most {MAX_LIVE_TOKENS} live tokens", remedy="Revoke one first"
        )
    scope = list(API_SCOPE) if publisher is not None else ["receipt"]
    row = ApiToken(
        jti=str(uuid4()),
        account_uuid=account.uuid,
        publisher_uuid=publisher.uuid if publisher else None,
        label=label.strip()[:80],
        scope=scope,
        expires=now() + timedelta(days=days),
    )
    session.add(row)
    session.flush()
    text = issuer.sign_api_token(
        jti=row.jti,
        account=account.uuid,
        publisher=row.publisher_uuid,
        publisher_name=publisher.name if publisher else None,
        scope=scope,
        expires=int(row.expires.timestamp()),
    )
    return IssuedToken(row, text)


def revoke_token(session: Session, account: Account, jti: str) -> ApiToken:
    """End a token of ``account`` now.

    Raises:
        NotFoundError: there is none with this id among the account's.
    """
    token = session.get(ApiToken, jti)
    if token is None or token.account_uuid != account.uuid:
        raise NotFoundError("There is no such token among yours")
    token.revoked = token.revoked or now()
    return token


def find_live_token(session: Session, jti: str) -> ApiToken | None:
    """Return the token ``jti`` if it can still be used."""
    token = session.get(ApiToken, jti)
    return token if token is not None and token.is_live else None


def list_revoked(session: Session) -> list[str]:
    """Return the ids of tokens that ended before their time and would otherwise still be valid."""
    query = select(ApiToken.jti).join(Account, Account.uuid == ApiToken.account_uuid)
    ended = query.where(
        ApiToken.expires > now(), ApiToken.revoked.is_not(None) | Account.disabled.is_not(None)
    )
    return list(session.scalars(ended.order_by(ApiToken.jti)))
