"""Running the migrations: alembic, loaded only when the database is new or old."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from hundredweight.base.errors import LocalError

if TYPE_CHECKING:
    from sqlalchemy import Connection

MIGRATIONS = str(Path(__file__).parent / "migrations")


class DatabaseTooNew(LocalError):
    """A newer program has changed the database's tables."""

    hint = "run the newer version again, or restore a backup from before the upgrade"


def upgrade(connection: Connection) -> None:
    """Bring the tables to the newest version, inside the connection's transaction. Raises `DatabaseTooNew`."""
    config = _config()
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    current = MigrationContext.configure(connection).get_current_revision()
    if current is not None and current not in known:
        raise DatabaseTooNew(f"the database has the unknown version '{current}'")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def newest_version() -> str:
    """The revision that `upgrade` leads to."""
    return ScriptDirectory.from_config(_config()).get_current_head() or ""


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", MIGRATIONS.replace("%", "%%"))
    return config
