"""Run by Alembic. It takes the caller's connection and leaves logging as it is."""

from __future__ import annotations

from alembic import context

from samnb.catalog.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite's ALTER TABLE cannot do most changes
)
with context.begin_transaction():
    context.run_migrations()
