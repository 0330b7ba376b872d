"""Making and claiming the first administrator's code, and the audit record."""

import hashlib
import secrets
from datetime import timedelta
from pathlib import Path

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from envcli_web.accounts import services as accounts
from envcli_web.accounts.models import Account
from envcli_web.admin.models import AdminCode, AuditEntry
from envcli_web.database import now
from envcli_web.errors import ConflictError, ForbiddenError
from envcli_web.files import write_private

CODE_LIFE = timedelta(minutes=15)
CODE_FILE = "admin-code"


def _digest(code: str) -> str:
    return hashlib.sha256(code.strip().upper().encode()).hexdigest()


def _new_code() -> str:
    letters = "ABCDEFGHJKMNPQRSTUVWXYZ23456789"  # nothing that is read as something else
    return "-".join("".join(secrets.choice(letters) for _ in range(5)) for _ in range(5))


def create_code(session: Session, directory: Path) -> Path:
    """Write a new one-time code to a file that only its owner can read; older codes end.

    Returns:
        The path of the file.
    """
    code = _new_code()
    session.execute(delete(AdminCode).where(AdminCode.used.is_(None)))
    session.add(AdminCode(code_sha256=_digest(code), expires=now() + CODE_LIFE))
    path = directory / CODE_FILE
    write_private(path, f"{code}\n".encode())
    return path


def claim(session: Session, account: Account, code: str, directory: Path) -> None:
    """Make ``account`` an administrator by the one-time code.

    Raises:
        ForbiddenError: the code is wrong, used or too old; the answer does not say which.
    """
    moment = now()
    taken = (
        update(AdminCode)
        .where(AdminCode.code_sha256 == _digest(code), AdminCode.used.is_(None), AdminCode.expires > moment)
        .values(used=moment, used_by=account.uuid)
        .returning(AdminCode.code_sha256)
    )
    if session.execute(taken).first() is None:
        raise ForbiddenError(
            "The code is not valid (any more)", remedy="Make a new one with: envcli-web admin-code"
        )
    accounts.get_account(session, account.uuid).is_admin = True
    record(session, account, "admin.claimed", account.username)
    (directory / CODE_FILE).unlink(missing_ok=True)


def record(session: Session, actor: Account, action: str, subject: str = "") -> None:
    """Add a line to the audit record."""
    session.add(AuditEntry(actor=actor.username, action=action, subject=subject[:200]))


def list_audit(session: Session, limit: int = 100) -> list[AuditEntry]:
    """Return the newest lines of the audit record."""
    return list(session.scalars(select(AuditEntry).order_by(AuditEntry.id.desc()).limit(limit)))


def set_disabled(session: Session, actor: Account, uuid: str, *, disabled: bool) -> Account:
    """Lock or unlock an account.

    Raises:
        ConflictError: administrators cannot lock themselves out.
        NotFoundError: there is no such account.
    """
    if uuid == actor.uuid:
        raise ConflictError("You cannot lock your own account")
    account = accounts.set_disabled(session, uuid, disabled=disabled)
    record(session, actor, "account.disabled" if disabled else "account.enabled", account.username)
    return account
