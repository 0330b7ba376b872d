"""Publishers, their members and API tokens."""

from datetime import datetime
from uuid import uuid4

from sqlalchemy import JSON, ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from envcli_web.accounts.models import Account
from envcli_web.database import Base, UtcDateTime, now


class Publisher(Base):
    """Who releases plugins. The uuid is the identity, for ever; the name is only shown."""

    __tablename__ = "publisher"
    uuid: Mapped[str] = mapped_column(String(36), primary_key=True, default=lambda: str(uuid4()))
    name: Mapped[str] = mapped_column(String(80))
    name_key: Mapped[str] = mapped_column(
        String(80), unique=True, doc="letters and digits, case-folded, for uniqueness"
    )
    created: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    members: Mapped[list["Membership"]] = relationship(back_populates="publisher")


class Membership(Base):
    """An account that may act for a publisher."""

    __tablename__ = "membership"
    publisher_uuid: Mapped[str] = mapped_column(
        ForeignKey("publisher.uuid", ondelete="CASCADE"), primary_key=True
    )
    account_uuid: Mapped[str] = mapped_column(
        ForeignKey("account.uuid", ondelete="CASCADE"), primary_key=True, index=True
    )
    since: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    publisher: Mapped[Publisher] = relationship(back_populates="members", lazy="joined")
    account: Mapped[Account] = relationship(lazy="joined")


class ApiToken(Base):
    """A token that was given out. Its text is not kept: the signature proves it, this row can end it."""

    __tablename__ = "api_token"
    jti: Mapped[str] = mapped_column(String(36), primary_key=True)
    account_uuid: Mapped[str] = mapped_column(ForeignKey("account.uuid", ondelete="CASCADE"), index=True)
    publisher_uuid: Mapped[str | None] = mapped_column(ForeignKey("publisher.uuid", ondelete="CASCADE"))
    label: Mapped[str] = mapped_column(String(80))
    scope: Mapped[list[str]] = mapped_column(JSON)
    created: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    expires: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    revoked: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)
    account: Mapped[Account] = relationship(lazy="joined")
    publisher: Mapped[Publisher | None] = relationship(lazy="joined")

    @property
    def is_live(self) -> bool:
        """Whether the token can be used."""
        return self.revoked is None and self.expires > now() and self.account.is_active
