"""Alembic environment: migrations run on the connection that the caller hands over."""

from typing import Any, Literal

from alembic import context
from envcli_index.database import UtcDateTime, metadata


def _render_item(kind: str, item: Any, _context: Any) -> str | Literal[False]:
    """Write our column type as what the database sees: old migrations never depend on today's code."""
    return "sa.DateTime()" if kind == "type" and isinstance(item, UtcDateTime) else False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    render_item=_render_item,
)
with context.begin_transaction():
    context.run_migrations()
