"""Creating accounts, signing in and out, and the sessions in between."""

import hashlib
import re
import secrets
from datetime import timedelta

from sqlalchemy import delete, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from envcli_web.accounts import passwords
from envcli_web.accounts.errors import NameTakenError, SignInError
from envcli_web.accounts.models import Account, AccountSession
from envcli_web.database import now
from envcli_web.errors import NotFoundError, WebError

USERNAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{1,38})[A-Za-z0-9]")
RESERVED = frozenset(
    {"admin", "administrator", "root", "envcli", "system", "support", "security", "__token__"}
)
SESSION_LIFE = timedelta(days=14)
SESSION_IDLE = timedelta(days=3)
SEEN_EVERY = timedelta(minutes=5)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def check_username(username: str) -> None:
    """Refuse a user name of the wrong form or one that could be taken for the site's own voice.

    Raises:
        WebError: with the rule that was broken.
    """
    if not USERNAME.fullmatch(username):
        raise WebError(
            "A user name has 3 to 40 letters, digits, dots, hyphens or underscores"
            " and starts and ends with a letter or digit"
        )
    if username.casefold() in RESERVED:
        raise WebError(f"The user name {username} is reserved", remedy="Choose another one")


def prepare_account(username: str, password: str) -> Account:
    """Build a new account, outside any transaction because hashing takes long.

    Raises:
        WebError: the name has the wrong form.
        WeakPasswordError: the password would be guessed.
    """
    check_username(username)
    passwords.check_password_strength(password, username)
    return Account(
        username=username, username_key=username.casefold(), password_hash=passwords.hash_password(password)
    )


def add_account(session: Session, account: Account) -> Account:
    """Store a new account.

    Raises:
        NameTakenError: the name belongs to somebody else.
    """
    session.add(account)
    try:
        session.flush()
    except IntegrityError as error:
        raise NameTakenError(
            f"The user name {account.username} is taken", remedy="Choose another one"
        ) from error
    return account


def find_by_name(session: Session, username: str) -> Account | None:
    """Return the account called ``username`` in any letter case, if there is one."""
    return session.scalar(select(Account).where(Account.username_key == username.strip().casefold()))


def get_account(session: Session, uuid: str) -> Account:
    """Return the account ``uuid``.

    Raises:
        NotFoundError: there is none.
    """
    account = session.get(Account, uuid)
    if account is None:
        raise NotFoundError("There is no such account")
    return account


def authenticate(session: Session, username: str, password: str) -> Account:
    """Return the account that ``username`` and ``password`` belong to.

    An unknown name, a wrong password and a disabled account give the same answer in the same time.

    Args:
        session: a reading session: hashing takes long and must not hold the write lock.
        username: in any letter case.
        password: as typed.

    Raises:
        SignInError: they do not belong together.
    """
    account = find_by_name(session, username)
    if account is None:
        passwords.spend_hashing_time(password)
        raise SignInError("The user name or the password is wrong")
    if not passwords.is_password(account.password_hash, password) or not account.is_active:
        raise SignInError("The user name or the password is wrong")
    return account


def new_password_hash(account: Account, current: str, new: str) -> str:
    """Return the hash of the new password of ``account``.

    Raises:
        SignInError: ``current`` is not the present password.
        WeakPasswordError: ``new`` would be guessed.
    """
    if not passwords.is_password(account.password_hash, current):
        raise SignInError("The present password is wrong")
    passwords.check_password_strength(new, account.username)
    return passwords.hash_password(new)


def set_password(session: Session, uuid: str, password_hash: str) -> None:
    """Store a new password hash and end every session of the account."""
    account = get_account(session, uuid)
    account.password_hash = password_hash
    close_all_sessions(session, account)


def open_session(session: Session, account: Account, browser: str) -> str:
    """Sign ``account`` in on one browser and return the value of its cookie."""
    token = secrets.token_urlsafe(32)
    moment = now()
    session.add(
        AccountSession(
            token_sha256=_digest(token),
            account_uuid=account.uuid,
            expires=moment + SESSION_LIFE,
            last_seen=moment,
            browser=browser[:200],
        )
    )
    return token


def find_session(session: Session, token: str) -> AccountSession | None:
    """Return the live session that the cookie's value ``token`` stands for."""
    found = session.get(AccountSession, _digest(token))
    if found is None or not found.account.is_active:
        return None
    moment = now()
    if found.expires <= moment or found.last_seen + SESSION_IDLE <= moment:
        return None
    return found


def is_due_for_a_touch(found: AccountSession) -> bool:
    """Return whether the session's time of last use is old enough to be written again."""
    return found.last_seen + SEEN_EVERY <= now()


def touch_session(session: Session, token: str) -> None:
    """Record that the session was used now."""
    found = session.get(AccountSession, _digest(token))
    if found is not None:
        found.last_seen = now()


def close_session(session: Session, token: str) -> None:
    """Sign out the browser whose cookie is ``token``."""
    session.execute(delete(AccountSession).where(AccountSession.token_sha256 == _digest(token)))


def close_all_sessions(session: Session, account: Account) -> None:
    """Sign ``account`` out everywhere."""
    session.execute(delete(AccountSession).where(AccountSession.account_uuid == account.uuid))


def purge_sessions(session: Session) -> int:
    """Delete the sessions that have ended and return their number."""
    ended = (
        delete(AccountSession).where(AccountSession.expires <= now()).returning(AccountSession.token_sha256)
    )
    return len(session.execute(ended).all())


def list_sessions(session: Session, account: Account) -> list[AccountSession]:
    """Return the live sessions of ``account``, last used first."""
    query = select(AccountSession).where(
        AccountSession.account_uuid == account.uuid, AccountSession.expires > now()
    )
    return list(session.scalars(query.order_by(AccountSession.last_seen.desc())))


def list_accounts(session: Session, limit: int = 200) -> list[Account]:
    """Return the newest accounts, newest first."""
    return list(session.scalars(select(Account).order_by(Account.created.desc()).limit(limit)))


def count_admins(session: Session) -> int:
    """Return how many administrators there are."""
    query = select(func.count()).select_from(Account).where(Account.is_admin, Account.disabled.is_(None))
    return int(session.scalar(query) or 0)


def set_disabled(session: Session, uuid: str, *, disabled: bool) -> Account:
    """Lock or unlock an account; locking ends its sessions.

    Raises:
        NotFoundError: there is no such account.
    """
    account = get_account(session, uuid)
    account.disabled = now() if disabled else None
    if disabled:
        close_all_sessions(session, account)
    return account
