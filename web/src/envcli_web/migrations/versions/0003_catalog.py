"""The catalog: projects, categories, files and the feed's cursor."""

import sqlalchemy as sa
from alembic import op
from envcli_web.database import UtcDateTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def _create_category() -> None:
    op.create_table(
        "category",
        sa.Column("slug", sa.String(length=40), nullable=False),
        sa.Column("title", sa.String(length=80), nullable=False),
        sa.Column("summary", sa.String(length=300), nullable=False),
        sa.Column("words", sa.String(length=500), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("slug", name="pk_category"),
    )


def _create_project() -> None:
    op.create_table(
        "project",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("uuid", sa.String(length=36), nullable=False),
        sa.Column("publisher_uuid", sa.String(length=36), nullable=False),
        sa.Column("publisher_name", sa.String(length=200), nullable=False),
        sa.Column("publisher_identity", sa.String(length=500), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("type", sa.String(length=40), nullable=False),
        sa.Column("summary", sa.String(length=1000), nullable=False),
        sa.Column("keywords", sa.String(length=1000), nullable=False),
        sa.Column("latest", sa.String(length=100), nullable=True),
        sa.Column("first_upload", UtcDateTime(), nullable=True),
        sa.Column("last_upload", UtcDateTime(), nullable=True),
        sa.Column("record", sa.JSON(), nullable=False),
        sa.Column("downloads", sa.BigInteger(), nullable=False),
        sa.Column("downloads_30", sa.BigInteger(), nullable=False),
        sa.Column("rating_count", sa.Integer(), nullable=False),
        sa.Column("rating_sum", sa.Integer(), nullable=False),
        sa.Column("rating_order", sa.Double(), nullable=False),
        sa.Column("search_rank", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_project"),
        sa.UniqueConstraint("name", name="uq_project_name"),
        sa.UniqueConstraint("search_rank", name="uq_project_search_rank"),
        sa.UniqueConstraint("uuid", name="uq_project_uuid"),
    )
    op.create_index("ix_project_downloads_30", "project", ["downloads_30"])
    op.create_index("ix_project_last_upload", "project", ["last_upload"])
    op.create_index("ix_project_publisher_uuid", "project", ["publisher_uuid"])
    op.create_index("ix_project_rating_order", "project", ["rating_order"])
    op.create_index("ix_project_type", "project", ["type"])


def _create_project_category() -> None:
    op.create_table(
        "project_category",
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("category_slug", sa.String(length=40), nullable=False),
        sa.ForeignKeyConstraint(
            ["category_slug"],
            ["category.slug"],
            name="fk_project_category_category_slug_category",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["project_id"], ["project.id"], name="fk_project_category_project_id_project", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("project_id", "category_slug", name="pk_project_category"),
    )
    op.create_index("ix_project_category_category_slug", "project_category", ["category_slug"])


def _create_release_file() -> None:
    op.create_table(
        "release_file",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("version", sa.String(length=100), nullable=False),
        sa.Column("filename", sa.String(length=300), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["project.id"], name="fk_release_file_project_id_project", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("sha256", name="pk_release_file"),
    )
    op.create_index("ix_release_file_project_id", "release_file", ["project_id"])


def _create_spelling_delete() -> None:
    op.create_table(
        "spelling_delete",
        sa.Column("hash", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["project.id"], name="fk_spelling_delete_project_id_project", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("hash", "project_id", name="pk_spelling_delete"),
    )
    op.create_index("ix_spelling_delete_project_id", "spelling_delete", ["project_id"])


def _create_feed_cursor() -> None:
    op.create_table(
        "feed_cursor",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("refreshed", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_feed_cursor"),
    )


def upgrade() -> None:
    """Create the tables."""
    _create_category()
    _create_project()
    _create_project_category()
    _create_release_file()
    _create_spelling_delete()
    _create_feed_cursor()


def downgrade() -> None:
    """Drop the tables."""
    op.drop_table("feed_cursor")
    op.drop_table("spelling_delete")
    op.drop_table("release_file")
    op.drop_table("project_category")
    op.drop_table("project")
    op.drop_table("category")
