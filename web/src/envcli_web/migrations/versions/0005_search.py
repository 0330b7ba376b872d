"""Full-text search in the way of each database, and the categories."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

CATEGORIES = (
    ("secrets", "Secret stores", "Read and write variables where they are kept safe.",
     "secret secrets vault keychain password sops kms"),
    ("cloud", "Cloud providers", "AWS, Azure, Google Cloud and others.",
     "aws azure gcp cloud s3 ssm parameter-store"),
    ("validation", "Validation", "Rules that find mistakes in environments, and fix them.",
     "validation validate lint rule validation-rule schema"),
    ("workflow", "Workflows", "Steps that run together: sync, review, release.",
     "workflow ci cd pipeline deploy automation release"),
    ("containers", "Containers", "Docker, Kubernetes and what runs in them.",
     "docker kubernetes k8s helm compose container containers"),
    ("frameworks", "Languages and frameworks", "What your framework expects from its environment.",
     "django flask fastapi rails node react framework"),
    ("databases", "Databases", "Connection settings and what belongs to them.",
     "database postgres postgresql mysql redis mongodb sqlite"),
    ("analytics", "Analytics", "See how environments change and are used.",
     "analytics metrics report reports audit statistics"),
    ("themes", "Themes", "How envcli looks in your terminal.", "theme themes color colors prompt"),
    ("other", "Everything else", "Plugins that fit nowhere else.", ""),
)  # fmt: skip


def _create_search() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute(
            "CREATE VIRTUAL TABLE plugin_search USING fts5("
            "name, body, tokenize = 'unicode61 remove_diacritics 2', prefix = '2 3')"
        )
        return
    op.execute(
        "CREATE TABLE plugin_search (place integer PRIMARY KEY, name tsvector NOT NULL, body tsvector NOT NULL)"
    )
    op.execute("CREATE INDEX ix_plugin_search_name ON plugin_search USING gin (name)")
    op.execute("CREATE INDEX ix_plugin_search_body ON plugin_search USING gin (body)")


def upgrade() -> None:
    """Create the search table and the categories."""
    _create_search()
    category = sa.table(
        "category", *(sa.column(name) for name in ("slug", "title", "summary", "words", "place"))
    )
    rows = [dict(zip(("slug", "title", "summary", "words"), row, strict=True)) for row in CATEGORIES]
    op.bulk_insert(category, [{**row, "place": place} for place, row in enumerate(rows)])


def downgrade() -> None:
    """Drop the search table and the categories."""
    op.execute("DROP TABLE plugin_search")
    op.execute("DELETE FROM category")
