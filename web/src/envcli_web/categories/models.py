"""Categories."""

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from envcli_web.database import Base


class Category(Base):
    """A shelf of the catalog."""

    __tablename__ = "category"
    slug: Mapped[str] = mapped_column(String(40), primary_key=True)
    title: Mapped[str] = mapped_column(String(80))
    summary: Mapped[str] = mapped_column(String(300))
    words: Mapped[str] = mapped_column(
        String(500), doc="keywords that file a plugin here, separated by blanks"
    )
    place: Mapped[int] = mapped_column(default=0)
