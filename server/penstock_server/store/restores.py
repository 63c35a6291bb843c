"""A SQLite store set back to a copy of it, also while a service uses it.

The copy is written over the store as one transaction of SQLite, so those who read see either the
one or the other. The core process of a service is ended, since all it has in memory is of another
time; its parent starts it again, and it takes up what the copy says was under way.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from contextlib import closing, suppress
from datetime import datetime
from pathlib import Path

from penstock_server.store import migrations
from penstock_server.store.backups import CannotBackUp, backup
from penstock_server.store.engine import Database, StoreUnavailable, open_store
from penstock_server.store.leadership import Leadership, acquire_leadership, holder_of

PATIENCE = 20.0
BETWEEN_TRIES = 0.02


class CannotRestore(Exception):
    """The store is as it was; the message says why."""


def restore(database: Database, path: Path, at: datetime) -> Path:
    """Give the store the content of the copy; gives the file that now holds what it had before."""
    if database.kind != "sqlite":
        raise CannotRestore(
            f"store {database.shown} is PostgreSQL: stop the service, then restore with"
            f" pg_restore --clean --if-exists --dbname={database.address} {path}"
        )
    _check(path)
    before = database.path.with_name(f"{database.path.stem}-before-{at:%Y%m%dT%H%M%SZ}.db")
    leadership = _taken_from_whoever_has_it(database.path.parent)
    try:
        backup(database, before)
        _write_over(database.path, path)
        migrations.upgrade(database)
    except CannotBackUp as reason:
        raise CannotRestore(f"what the store has now could not be kept: {reason}") from None
    finally:
        leadership.release()
    return before


def _check(path: Path) -> None:
    """Refuse what is no whole store, or one of a newer program."""
    if not path.is_file():
        raise CannotRestore(f"{path} does not exist")
    try:
        copy = open_store(f"sqlite:///{path.absolute()}")
        try:
            found = migrations.current(copy)
            with copy.read() as connection:
                state = connection.exec_driver_sql("PRAGMA quick_check").scalar()
        finally:
            copy.close()
    except StoreUnavailable as reason:
        raise CannotRestore(str(reason)) from None
    if state != "ok":
        raise CannotRestore(f"{path} is damaged: {state}")
    if found is None or found not in migrations.steps():
        raise CannotRestore(f"{path} is no store that this program knows (its schema is {found})")


def _taken_from_whoever_has_it(folder: Path) -> Leadership:
    until = time.monotonic() + PATIENCE
    while True:
        try:
            return acquire_leadership(folder)
        except StoreUnavailable:
            if time.monotonic() > until:
                raise
        holder = holder_of(folder)
        if holder is not None:
            with suppress(ProcessLookupError):
                os.kill(holder, signal.SIGKILL)
        time.sleep(BETWEEN_TRIES)  # noqa: TID251 - bounded above


def _write_over(store: Path, path: Path) -> None:
    try:
        with closing(sqlite3.connect(path)) as copy, closing(sqlite3.connect(store)) as target:
            target.execute("PRAGMA busy_timeout = 10000")
            copy.backup(target, pages=-1)
    except sqlite3.Error as error:
        raise CannotRestore(f"{store} could not be written: {error}") from error
