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
        self._table = table.name
        self._names = ", ".join(names)
        self._marks = ", ".join("?" for _ in names)
        self._conflict = ""
        if over:
            changed = [name for name in names if name not in own and name not in keep]
            sets = ", ".join(f"{name} = excluded.{name}" for name in changed)
            self._conflict = f" ON CONFLICT ({', '.join(own)}) DO UPDATE SET {sets}"
        self._columns = [(column.name, _binder(column.type)) for column in columns]

    def bound(self, values: Mapping[str, Any]) -> Bound:
        """A row as the driver takes it; what is not given is null."""
        return tuple(bind(values.get(name)) for name, bind in self._columns)

    # All names in these statements are those of our own tables.

    def write(self, tx: Tx, rows: Sequence[Bound], *, into: str | None = None) -> None:
        """Insert all of them, or put them into a twin of the table as they are."""
        table, conflict = (self._table, self._conflict) if into is None else (into, "")
        tx.execute_many(
            f"INSERT INTO {table} ({self._names}) VALUES ({self._marks}){conflict}",  # noqa: S608
            rows,
        )

    def twin(self, name: str) -> str:
        """The statement that makes a temporary table of the same columns."""
        return f"CREATE TEMPORARY TABLE {name} AS SELECT * FROM {self._table} WHERE 1 = 0"  # noqa: S608

    def moving(self, twin: str) -> str:
        """The statement that inserts all rows of a twin."""
        # Without a condition SQLite would take the conflict for one of a join.
        return (
            f"INSERT INTO {self._table} ({self._names})"  # noqa: S608
            f" SELECT {self._names} FROM {twin} WHERE 1 = 1{self._conflict}"
        )


def _binder(kind: Any) -> Callable[[Any], Any]:
    if isinstance(kind, Instant):
        return lambda value: None if value is None else to_micros(value)
    if isinstance(kind, Json):
        return lambda value: None if value is None else orjson.dumps(value).decode()
    return lambda value: value
