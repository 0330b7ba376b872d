"""Install receipts and reviews."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from envcli_web.accounts.models import Account
from envcli_web.database import Base, UtcDateTime, now


class Receipt(Base):
    """A host's word that its owner installed a release, verified. One for each account and file."""

    __tablename__ = "receipt"
    __table_args__ = (UniqueConstraint("account_uuid", "sha256"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    account_uuid: Mapped[str] = mapped_column(ForeignKey("account.uuid", ondelete="CASCADE"))
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id", ondelete="CASCADE"), index=True)
    sha256: Mapped[str] = mapped_column(String(64))
    version: Mapped[str] = mapped_column(String(100))
    created: Mapped[datetime] = mapped_column(UtcDateTime, default=now)


class Review(Base):
    """One person's opinion about one plugin, bound to the version that was installed."""

    __tablename__ = "review"
    __table_args__ = (
        UniqueConstraint("account_uuid", "project_id"),
        CheckConstraint("stars BETWEEN 1 AND 5", name="stars"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    account_uuid: Mapped[str] = mapped_column(ForeignKey("account.uuid", ondelete="CASCADE"))
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id", ondelete="CASCADE"), index=True)
    stars: Mapped[int] = mapped_column()
    body: Mapped[str] = mapped_column(Text)
    version: Mapped[str] = mapped_column(String(100))
    created: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    updated: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)
    account: Mapped[Account] = relationship(lazy="joined")


class ReviewRevision(Base):
    """What a review said before it was edited."""

    __tablename__ = "review_revision"
    id: Mapped[int] = mapped_column(primary_key=True)
    review_id: Mapped[int] = mapped_column(ForeignKey("review.id", ondelete="CASCADE"), index=True)
    stars: Mapped[int] = mapped_column()
    body: Mapped[str] = mapped_column(Text)
    version: Mapped[str] = mapped_column(String(100))
    replaced: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
