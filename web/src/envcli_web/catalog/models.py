"""What the site keeps of the index's projects. All of it can be fetched again."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from envcli_web.database import Base, UtcDateTime


class Project(Base):
    """One plugin as the index describes it, with the numbers that lists are ordered by."""

    __tablename__ = "project"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(200), unique=True)
    uuid: Mapped[str] = mapped_column(String(36), unique=True)
    publisher_uuid: Mapped[str] = mapped_column(String(36), index=True)
    publisher_name: Mapped[str] = mapped_column(String(200))
    publisher_identity: Mapped[str] = mapped_column(String(500))
    status: Mapped[str] = mapped_column(String(20))
    type: Mapped[str] = mapped_column(String(40), index=True)
    summary: Mapped[str] = mapped_column(String(1000))
    keywords: Mapped[str] = mapped_column(String(1000), doc="separated by blanks")
    latest: Mapped[str | None] = mapped_column(String(100), doc="newest version that can be installed")
    first_upload: Mapped[datetime | None] = mapped_column(UtcDateTime)
    last_upload: Mapped[datetime | None] = mapped_column(UtcDateTime)
    record: Mapped[dict[str, Any]] = mapped_column(JSON, doc="the index's projects/<name>.json")
    downloads: Mapped[int] = mapped_column(BigInteger, default=0)
    downloads_30: Mapped[int] = mapped_column(BigInteger, default=0)
    rating_count: Mapped[int] = mapped_column(default=0)
    rating_sum: Mapped[int] = mapped_column(default=0)
    rating_order: Mapped[float] = mapped_column(default=0.0, doc="Bayesian mean, for order only")
    search_rank: Mapped[int] = mapped_column(
        unique=True, doc="place by popularity; row id of the search table"
    )
    categories: Mapped[list["ProjectCategory"]] = relationship(
        cascade="all, delete-orphan", lazy="raise_on_sql", back_populates="project"
    )

    __table_args__ = (
        Index("ix_project_downloads_30", "downloads_30"),
        Index("ix_project_rating_order", "rating_order"),
        Index("ix_project_last_upload", "last_upload"),
    )

    @property
    def rating_mean(self) -> float:
        """Plain mean of the stars, 0 without a review."""
        return self.rating_sum / self.rating_count if self.rating_count else 0.0


class ProjectCategory(Base):
    """A project's place in a category."""

    __tablename__ = "project_category"
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id", ondelete="CASCADE"), primary_key=True)
    category_slug: Mapped[str] = mapped_column(
        ForeignKey("category.slug", ondelete="CASCADE"), primary_key=True, index=True
    )
    project: Mapped[Project] = relationship(back_populates="categories")


class ReleaseFile(Base):
    """A released file; install receipts name its digest."""

    __tablename__ = "release_file"
    sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id", ondelete="CASCADE"), index=True)
    version: Mapped[str] = mapped_column(String(100))
    filename: Mapped[str] = mapped_column(String(300))
    project: Mapped[Project] = relationship(lazy="joined")


class SpellingDelete(Base):
    """One way to misspell a project's name by leaving out a letter (the SymSpell method)."""

    __tablename__ = "spelling_delete"
    hash: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    project_id: Mapped[int] = mapped_column(
        ForeignKey("project.id", ondelete="CASCADE"), primary_key=True, index=True
    )


class FeedCursor(Base):
    """How far the index's event feed has been read. There is one row."""

    __tablename__ = "feed_cursor"
    id: Mapped[int] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(default=0)
    sha256: Mapped[str] = mapped_column(String(64), default="")
    refreshed: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)
