"""The few statements of the hot path, as text made once from the tables and run on tuples.

A row is a tuple in the order of its table's columns (`columns`). What a batch does to a table is
one call of `Hot`, whatever the database.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import Table

from penstock_server.store import schema

Row = Sequence[object]
Rows = Sequence[Row]

NUMBERED = frozenset({"mailbox", "metrics"})  # their `id` comes from the database
TABLES = (
    schema.executions,
    schema.execution_labels,
    schema.task_runs,
    schema.execution_events,
    schema.jobs,
    schema.timers,
    schema.mailbox,
    schema.logs,
    schema.metrics,
    schema.kv,
    schema.idempotency,
)


class Hot(Protocol):
    """What the writer of batches asks of a database, inside an open transaction."""

    def insert(self, table: str, rows: Rows) -> None:
        """Add rows; one that exists is an error."""
        ...

    def add(self, table: str, rows: Rows) -> None:
        """Add rows but those that exist."""
        ...

    def put(self, table: str, rows: Rows) -> None:
        """Add rows, replacing those that exist."""
        ...

    def run(self, sql: str, rows: Rows) -> int:
        """Run a statement, with `?` for values, on each row; the number of rows it changed."""
        ...


def columns(table: Table) -> tuple[str, ...]:
    """The columns that a row of the table gives."""
    numbered = table.name in NUMBERED
    return tuple(c.name for c in table.columns if not (numbered and c.primary_key))


@dataclass(frozen=True, slots=True)
class Text:
    """The statements of one table."""

    insert: str
    add: str
    put: str


def texts(mark: str) -> dict[str, Text]:
    """The statements of all hot tables, with `mark` for values."""
    return {table.name: _text(table, mark) for table in TABLES}


def _text(table: Table, mark: str) -> Text:
    names = columns(table)
    keys = [c.name for c in table.primary_key.columns]
    insert = (
        f"INSERT INTO {table.name} ({_listed(names)})"  # noqa: S608 - names of our tables
        f" VALUES ({', '.join(mark for _ in names)})"
    )
    changes = ", ".join(f'"{name}" = excluded."{name}"' for name in names if name not in keys)
    clash = f"{insert} ON CONFLICT ({_listed(keys)}) DO"
    return Text(insert=insert, add=f"{clash} NOTHING", put=f"{clash} UPDATE SET {changes}")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


SQLITE = texts("?")
POSTGRES = texts("%s")


class SqliteHot:
    """One executemany a table: the statement is prepared once and steps over the rows."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw

    def insert(self, table: str, rows: Rows) -> None:
        """Add rows; one that exists is an error."""
        self._raw.executemany(SQLITE[table].insert, rows)

    def add(self, table: str, rows: Rows) -> None:
        """Add rows but those that exist."""
        self._raw.executemany(SQLITE[table].add, rows)

    def put(self, table: str, rows: Rows) -> None:
        """Add rows, replacing those that exist."""
        self._raw.executemany(SQLITE[table].put, rows)

    def run(self, sql: str, rows: Rows) -> int:
        """Run a statement on each row; the number of rows it changed."""
        return int(self._raw.executemany(sql, rows).rowcount)


class PostgresHot:
    """Statements go out without waiting for one another."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw

    def insert(self, table: str, rows: Rows) -> None:
        """Add rows; one that exists is an error."""
        self._many(POSTGRES[table].insert, rows)

    def add(self, table: str, rows: Rows) -> None:
        """Add rows but those that exist."""
        self._many(POSTGRES[table].add, rows)

    def put(self, table: str, rows: Rows) -> None:
        """Add rows, replacing those that exist."""
        self._many(POSTGRES[table].put, rows)

    def run(self, sql: str, rows: Rows) -> int:
        """Run a statement on each row; the number of rows it changed."""
        return self._many(sql.replace("?", "%s"), rows)

    def _many(self, sql: str, rows: Rows) -> int:
        with self._raw.cursor() as cursor:
            cursor.executemany(sql, rows)
            return int(cursor.rowcount)
