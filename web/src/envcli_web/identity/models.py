"""Authorization codes: the short step between a person's consent and a tool's token."""

from datetime import datetime, timedelta

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from envcli_web.database import Base, UtcDateTime, now

CODE_LIFE = timedelta(minutes=2)


class AuthorizationCode(Base):
    """A code that was given out and not yet used; stored only as its SHA-256. Source: RFC 6749 §4.1, RFC 7636."""

    __tablename__ = "authorization_code"
    code_sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    publisher_uuid: Mapped[str] = mapped_column(ForeignKey("publisher.uuid", ondelete="CASCADE"))
    account_uuid: Mapped[str] = mapped_column(ForeignKey("account.uuid", ondelete="CASCADE"))
    client_id: Mapped[str] = mapped_column(String(40))
    redirect_uri: Mapped[str] = mapped_column(String(300))
    scope: Mapped[str] = mapped_column(String(100))
    nonce: Mapped[str] = mapped_column(String(300), default="")
    code_challenge: Mapped[str] = mapped_column(String(128))
    code_challenge_method: Mapped[str] = mapped_column(String(10))
    expires: Mapped[datetime] = mapped_column(UtcDateTime, default=lambda: now() + CODE_LIFE, index=True)

    def get_redirect_uri(self) -> str:
        """Return the address that the code was sent to."""
        return self.redirect_uri

    def get_scope(self) -> str:
        """Return what was consented to."""
        return self.scope
