"""A copy of a SQLite store while it is in use; for PostgreSQL there is a better program."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from penstock_server.store.engine import Database, StoreUnavailable


class CannotBackUp(Exception):
    """There is no copy; the message says what to do instead."""


def backup(database: Database, path: Path) -> None:
    """Copy the store as it is now to a new file; writers go on meanwhile."""
    if database.kind != "sqlite":
        raise CannotBackUp(
            f"store {database.shown} is PostgreSQL: back it up with"
            f" pg_dump --format=custom --file={path} --dbname={database.address}"
        )
    if path.exists():
        raise CannotBackUp(f"{path} exists; name another file")
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.unlink(missing_ok=True)
        _copy(database, partial)
        partial.rename(path)
    except OSError as error:
        raise CannotBackUp(f"{path} cannot be written: {error.strerror}") from error
    finally:
        partial.unlink(missing_ok=True)


def _copy(database: Database, target: Path) -> None:
    source = database.raw_reader()
    try:
        copy = sqlite3.connect(target, isolation_level=None)
        try:
            # All pages in one step: what is written meanwhile cannot make it begin again.
            source.backup(copy, pages=-1)
            # The copy is one file, with no log beside it.
            copy.execute("PRAGMA journal_mode = DELETE")
        finally:
            copy.close()
    except sqlite3.Error as error:
        raise StoreUnavailable(f"{target} cannot be written: {error}") from error
    finally:
        source.close()
