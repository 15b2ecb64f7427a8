"""Alembic's scripts: how each version's tables come from those before it. Run at start by `Database.migrate`."""
