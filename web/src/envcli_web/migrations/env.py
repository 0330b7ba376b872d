"""Alembic's entry: connects and runs the migrations in one transaction each."""

from alembic import context
from sqlalchemy import create_engine

from envcli_web.database import WRITE_OPTION, Base, prepare_engine
from envcli_web.models import ALL

assert ALL, "importing the models fills the metadata that autogenerate compares with"  # noqa: S101

engine = prepare_engine(create_engine(context.config.attributes["url"]))
with engine.connect().execution_options(**{WRITE_OPTION: True}) as connection:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        transaction_per_migration=True,
        render_as_batch=connection.dialect.name == "sqlite",
    )
    with context.begin_transaction():
        context.run_migrations()
engine.dispose()
