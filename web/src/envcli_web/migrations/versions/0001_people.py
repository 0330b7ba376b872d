"""The people: accounts, sessions, limits and the administration."""

import sqlalchemy as sa
from alembic import op
from envcli_web.database import UtcDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def _create_account() -> None:
    op.create_table(
        "account",
        sa.Column("uuid", sa.String(length=36), nullable=False),
        sa.Column("username", sa.String(length=40), nullable=False),
        sa.Column("username_key", sa.String(length=40), nullable=False),
        sa.Column("password_hash", sa.String(length=200), nullable=False),
        sa.Column("created", UtcDateTime(), nullable=False),
        sa.Column("is_admin", sa.Boolean(), nullable=False),
        sa.Column("disabled", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("uuid", name="pk_account"),
        sa.UniqueConstraint("username_key", name="uq_account_username_key"),
    )


def _create_account_session() -> None:
    op.create_table(
        "account_session",
        sa.Column("token_sha256", sa.String(length=64), nullable=False),
        sa.Column("account_uuid", sa.String(length=36), nullable=False),
        sa.Column("created", UtcDateTime(), nullable=False),
        sa.Column("last_seen", UtcDateTime(), nullable=False),
        sa.Column("expires", UtcDateTime(), nullable=False),
        sa.Column("browser", sa.String(length=200), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_uuid"],
            ["account.uuid"],
            name="fk_account_session_account_uuid_account",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("token_sha256", name="pk_account_session"),
    )
    op.create_index("ix_account_session_account_uuid", "account_session", ["account_uuid"])
    op.create_index("ix_account_session_expires", "account_session", ["expires"])


def _create_rate_counter() -> None:
    op.create_table(
        "rate_counter",
        sa.Column("key", sa.String(length=400), nullable=False),
        sa.Column("hits", sa.BigInteger(), nullable=False),
        sa.Column("expires", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_rate_counter"),
    )
    op.create_index("ix_rate_counter_expires", "rate_counter", ["expires"])


def _create_admin_code() -> None:
    op.create_table(
        "admin_code",
        sa.Column("code_sha256", sa.String(length=64), nullable=False),
        sa.Column("expires", UtcDateTime(), nullable=False),
        sa.Column("used", UtcDateTime(), nullable=True),
        sa.Column("used_by", sa.String(length=36), nullable=True),
        sa.ForeignKeyConstraint(
            ["used_by"], ["account.uuid"], name="fk_admin_code_used_by_account", ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("code_sha256", name="pk_admin_code"),
    )


def _create_audit_entry() -> None:
    op.create_table(
        "audit_entry",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("actor", sa.String(length=40), nullable=False),
        sa.Column("action", sa.String(length=60), nullable=False),
        sa.Column("subject", sa.String(length=200), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit_entry"),
    )
    op.create_index("ix_audit_entry_at", "audit_entry", ["at"])


def upgrade() -> None:
    """Create the tables."""
    _create_account()
    _create_account_session()
    _create_rate_counter()
    _create_admin_code()
    _create_audit_entry()


def downgrade() -> None:
    """Drop the tables."""
    op.drop_table("audit_entry")
    op.drop_table("admin_code")
    op.drop_table("rate_counter")
    op.drop_table("account_session")
    op.drop_table("account")
