"""What alembic runs: the migrations, inside the transaction of the caller's connection."""

from __future__ import annotations

from alembic import context

from hundredweight.hub.database.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True)
context.run_migrations()
