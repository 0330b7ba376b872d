"""Accounts and their signed-in sessions."""

from datetime import datetime
from uuid import uuid4

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from envcli_web.database import Base, UtcDateTime, now


class Account(Base):
    """One person who can sign in."""

    __tablename__ = "account"
    uuid: Mapped[str] = mapped_column(String(36), primary_key=True, default=lambda: str(uuid4()))
    username: Mapped[str] = mapped_column(String(40))
    username_key: Mapped[str] = mapped_column(String(40), unique=True, doc="case-folded, for uniqueness")
    password_hash: Mapped[str] = mapped_column(String(200))
    created: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    is_admin: Mapped[bool] = mapped_column(default=False)
    disabled: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)

    @property
    def is_active(self) -> bool:
        """Whether the person may sign in and use tokens."""
        return self.disabled is None


class AccountSession(Base):
    """One browser that is signed in. The cookie's value is stored only as its SHA-256."""

    __tablename__ = "account_session"
    token_sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    account_uuid: Mapped[str] = mapped_column(ForeignKey("account.uuid", ondelete="CASCADE"), index=True)
    created: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    last_seen: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    expires: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    browser: Mapped[str] = mapped_column(String(200), default="")
    account: Mapped[Account] = relationship(lazy="joined")
