"""The one-time code and the record of administrative acts."""

from datetime import datetime

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from envcli_web.database import Base, UtcDateTime, now


class AdminCode(Base):
    """A one-time code that makes an account an administrator; stored only as its SHA-256."""

    __tablename__ = "admin_code"
    code_sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    expires: Mapped[datetime] = mapped_column(UtcDateTime)
    used: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)
    used_by: Mapped[str | None] = mapped_column(ForeignKey("account.uuid", ondelete="SET NULL"), default=None)


class AuditEntry(Base):
    """Something an administrator did, or that changed who is one. Rows are only ever added."""

    __tablename__ = "audit_entry"
    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime, default=now, index=True)
    actor: Mapped[str] = mapped_column(String(40))
    action: Mapped[str] = mapped_column(String(60))
    subject: Mapped[str] = mapped_column(String(200), default="")
