"""Alembic's environment: the application's models, without the extension's schema."""

import os

from alembic import context
from sqlalchemy import create_engine

from models import Base


def include_name(name, type_, parent_names):
    """Keeps --autogenerate from dropping the extension's tables, which the models do not have."""
    return not (type_ == "schema" and name == "rhesis_notify")


engine = create_engine(os.environ["DATABASE_URL"])
with engine.connect() as connection:
    context.configure(
        connection=connection, target_metadata=Base.metadata, include_schemas=True, include_name=include_name)
    with context.begin_transaction():
        context.run_migrations()
