"""Many rows in one statement, bound ahead: what is written fast was made ready before.

A row is made ready with `bound` while nothing is locked; `write` then only hands tuples to the
driver, in the transaction of whoever calls.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import orjson
from sqlalchemy import Table

from penstock_server.store.engine import Tx
from penstock_server.store.schema import Instant, Json, to_micros

Bound = tuple[Any, ...]


class BulkInsert:
    """Inserts into one table, over rows of the same primary key but for the columns in `keep`."""

    def __init__(self, table: Table, *, over: bool = False, keep: Collection[str] = ()) -> None:
        columns = list(table.columns)
        names = [column.name for column in columns]
        own = [column.name for column in table.primary_key.columns]
        marks = ", ".join("?" for _ in names)
        # The names are those of our own tables.
        self._sql = f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({marks})"  # noqa: S608
        if over:
            changed = [name for name in names if name not in own and name not in keep]
            sets = ", ".join(f"{name} = excluded.{name}" for name in changed)
            self._sql += f" ON CONFLICT ({', '.join(own)}) DO UPDATE SET {sets}"
        self._columns = [(column.name, _binder(column.type)) for column in columns]

    def bound(self, values: Mapping[str, Any]) -> Bound:
        """A row as the driver takes it; what is not given is null."""
        return tuple(bind(values.get(name)) for name, bind in self._columns)

    def write(self, tx: Tx, rows: Sequence[Bound]) -> None:
        """Insert all of them."""
        tx.execute_many(self._sql, rows)


def _binder(kind: Any) -> Callable[[Any], Any]:
    if isinstance(kind, Instant):
        return lambda value: None if value is None else to_micros(value)
    if isinstance(kind, Json):
        return lambda value: None if value is None else orjson.dumps(value).decode()
    return lambda value: value
