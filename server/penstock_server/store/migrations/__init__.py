"""Brings the schema of a store up to date, from code: `upgrade(database)` at every start.

A new store gets all tables at once; Alembic is imported only when an older one has steps to go.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, inspect

from penstock_server.store import schema
from penstock_server.store.engine import MIGRATION_LOCK, Database, StoreUnavailable

# The last step in `versions`; a test compares.
HEAD = "0011"


def current(database: Database) -> str | None:
    """The step that the store's schema has reached, None for a store without tables."""
    with database.read() as connection:
        return _current(connection)


def upgrade(database: Database) -> None:
    """Bring the schema up to date; raises `StoreUnavailable` when a newer program has made it."""
    if current(database) == HEAD:
        return
    with database.begin() as tx:
        connection = tx.connection
        if database.kind != "sqlite":
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})")
        # Another process may have been faster.
        found = _current(connection)
        if found == HEAD:
            return
        if found is None:
            _create(connection)
            return
        if found not in steps():
            raise StoreUnavailable(
                f"store {database.shown} was made by a newer penstock (its schema is {found}, this"
                f" program knows {HEAD}); start that version, or restore a backup from before it"
            )
        run_steps(connection)


def run_steps(connection: Connection) -> None:
    """Take all steps that the store has not taken, in the caller's transaction."""
    from alembic import command

    command.upgrade(_config(connection), "head")


def steps() -> list[str]:
    """The steps that this program knows, oldest first."""
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory.from_config(_config(None))
    return [script.revision for script in scripts.walk_revisions()][::-1]


def _current(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    return None if found is None else str(found)


def _create(connection: Connection) -> None:
    schema.metadata.create_all(connection)
    connection.exec_driver_sql(
        "CREATE TABLE IF NOT EXISTS alembic_version (version_num VARCHAR(32) NOT NULL,"
        " CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
    )
    connection.exec_driver_sql(f"INSERT INTO alembic_version VALUES ('{HEAD}')")  # noqa: S608


def _config(connection: Connection | None) -> Any:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "penstock_server.store:migrations")
    config.attributes["connection"] = connection
    return config
