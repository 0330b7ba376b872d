"""Migrations of the site's database (Alembic)."""

from alembic import command
from alembic.config import Config

from envcli_web.config import WebConfig


def upgrade(config: WebConfig) -> None:
    """Bring the database of ``config`` to the newest version."""
    settings = Config()
    settings.set_main_option("script_location", "envcli_web:migrations")
    settings.attributes["url"] = config.database_url
    command.upgrade(settings, "head")
