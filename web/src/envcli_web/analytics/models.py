"""Daily roll-ups."""

from datetime import date

from sqlalchemy import BigInteger, Date, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from envcli_web.database import Base


class DownloadDay(Base):
    """The index's running total of a plugin's downloads at the end of a day (UTC)."""

    __tablename__ = "download_day"
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id", ondelete="CASCADE"), primary_key=True)
    day: Mapped[date] = mapped_column(Date, primary_key=True)
    total: Mapped[int] = mapped_column(BigInteger)


class DownloadMethod(Base):
    """The index's own words on how it counts downloads. There is one row."""

    __tablename__ = "download_method"
    id: Mapped[int] = mapped_column(primary_key=True)
    how: Mapped[str] = mapped_column()
