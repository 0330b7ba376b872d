"""The publishers that a reviewer belongs to."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    with op.batch_alter_table("reviewer_key", schema=None) as batch_op:
        batch_op.add_column(sa.Column("publishers", sa.JSON(), nullable=False, server_default="[]"))


def downgrade() -> None:
    """Take back."""
    with op.batch_alter_table("reviewer_key", schema=None) as batch_op:
        batch_op.drop_column("publishers")
