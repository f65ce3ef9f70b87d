"""Runs the migrations on the connection it is handed, in the transaction that connection is in."""

from __future__ import annotations

from alembic import context

from cache.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transactional_ddl=False,  # the caller begins and commits, around all of them
)
context.run_migrations()
