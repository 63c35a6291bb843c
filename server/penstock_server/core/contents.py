"""Deletes contents of namespace files that no row and no manifest names any more."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from penstock_runner.tasks.namespace_files import CONTENTS
from penstock_runner.tasks.storage import FileFacts, Storage
from penstock_server.store import namespace_files, sources
from penstock_server.store.engine import Database

# A look puts contents down long before a commit is applied that names them.
KEPT = timedelta(hours=24)


def collect(database: Database, storage: Storage, now: datetime) -> int:
    """Delete what has been in nobody's use for a day; how many there were."""
    old = {one.name: one.uri for one in _stored(storage, before=now - KEPT)}
    if not old:
        return 0
    with database.read() as connection:
        unused = old.keys() - namespace_files.contents(connection)
        if unused:
            unused -= sources.file_contents(connection)
    for name in unused:
        storage.delete(old[name])
    return len(unused)


def _stored(storage: Storage, before: datetime) -> Iterator[FileFacts]:
    return (one for one in storage.walk(CONTENTS) if one.modified < before)
