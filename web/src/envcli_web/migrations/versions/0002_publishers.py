"""The publishers: profiles, members, API tokens and authorization codes."""

import sqlalchemy as sa
from alembic import op
from envcli_web.database import UtcDateTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def _create_publisher() -> None:
    op.create_table(
        "publisher",
        sa.Column("uuid", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("name_key", sa.String(length=80), nullable=False),
        sa.Column("created", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("uuid", name="pk_publisher"),
        sa.UniqueConstraint("name_key", name="uq_publisher_name_key"),
    )


def _create_membership() -> None:
    op.create_table(
        "membership",
        sa.Column("publisher_uuid", sa.String(length=36), nullable=False),
        sa.Column("account_uuid", sa.String(length=36), nullable=False),
        sa.Column("since", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_uuid"], ["account.uuid"], name="fk_membership_account_uuid_account", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["publisher_uuid"],
            ["publisher.uuid"],
            name="fk_membership_publisher_uuid_publisher",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("publisher_uuid", "account_uuid", name="pk_membership"),
    )
    op.create_index("ix_membership_account_uuid", "membership", ["account_uuid"])


def _create_api_token() -> None:
    op.create_table(
        "api_token",
        sa.Column("jti", sa.String(length=36), nullable=False),
        sa.Column("account_uuid", sa.String(length=36), nullable=False),
        sa.Column("publisher_uuid", sa.String(length=36), nullable=True),
        sa.Column("label", sa.String(length=80), nullable=False),
        sa.Column("scope", sa.JSON(), nullable=False),
        sa.Column("created", UtcDateTime(), nullable=False),
        sa.Column("expires", UtcDateTime(), nullable=False),
        sa.Column("revoked", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["account_uuid"], ["account.uuid"], name="fk_api_token_account_uuid_account", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["publisher_uuid"],
            ["publisher.uuid"],
            name="fk_api_token_publisher_uuid_publisher",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("jti", name="pk_api_token"),
    )
    op.create_index("ix_api_token_account_uuid", "api_token", ["account_uuid"])
    op.create_index("ix_api_token_expires", "api_token", ["expires"])


def _create_authorization_code() -> None:
    op.create_table(
        "authorization_code",
        sa.Column("code_sha256", sa.String(length=64), nullable=False),
        sa.Column("publisher_uuid", sa.String(length=36), nullable=False),
        sa.Column("account_uuid", sa.String(length=36), nullable=False),
        sa.Column("client_id", sa.String(length=40), nullable=False),
        sa.Column("redirect_uri", sa.String(length=300), nullable=False),
        sa.Column("scope", sa.String(length=100), nullable=False),
        sa.Column("nonce", sa.String(length=300), nullable=False),
        sa.Column("code_challenge", sa.String(length=128), nullable=False),
        sa.Column("code_challenge_method", sa.String(length=10), nullable=False),
        sa.Column("expires", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_uuid"],
            ["account.uuid"],
            name="fk_authorization_code_account_uuid_account",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["publisher_uuid"],
            ["publisher.uuid"],
            name="fk_authorization_code_publisher_uuid_publisher",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("code_sha256", name="pk_authorization_code"),
    )
    op.create_index("ix_authorization_code_expires", "authorization_code", ["expires"])


def upgrade() -> None:
    """Create the tables."""
    _create_publisher()
    _create_membership()
    _create_api_token()
    _create_authorization_code()


def downgrade() -> None:
    """Drop the tables."""
    op.drop_table("authorization_code")
    op.drop_table("api_token")
    op.drop_table("membership")
    op.drop_table("publisher")
