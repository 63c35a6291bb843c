"""The few statements of the hot path, as text made once from the tables and run on tuples.

A row is a tuple in the order of its table's columns (`columns`). What a batch does to a table is
one call of `Hot`, whatever the database. SQLite prepares a statement once and steps over the rows.
PostgreSQL gets all rows of a table as one JSON array, and all statements of a batch with their
COMMIT in one pipeline, so that a batch is one round trip; that was faster, measured at 1 to 200
executions, than executemany, arrays and COPY, and takes the least time of this process.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import orjson
from sqlalchemy import BigInteger, Boolean, Float, Integer, Table

from penstock_runner.executor.store import Conflict
from penstock_server.store import schema
from penstock_server.store.engine import Database, Tx

Row = Sequence[object]
Rows = Sequence[Row]

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
# Tables whose `id` comes from the database.
NUMBERED = frozenset({"mailbox", "metrics"})
# What an update sets; its rows hold these, then the key.
UPDATES = {
    "executions": ("flow_revision", "state", "version", "ended_at", "updated_at", "body"),
    "jobs": ("runner",),
}
# What rows are found by, where it is not the primary key.
KEYS = {"executions": ("id", "version"), "execution_labels": ("execution_id",)}

# PostgreSQL takes at most 256 MB as one JSON value; more rows go in several.
JSON_LIMIT = 64 << 20


class Hot(Protocol):
    """What the writer of batches asks of a database, inside an open transaction."""

    def insert(self, table: str, rows: Rows) -> None:
        """Add rows; one that exists is an error."""
        ...

    def add(self, table: str, rows: Rows) -> None:
        """Add rows but those that exist."""
        ...

    def put(self, table: str, rows: Rows) -> None:
        """Add rows, no two of one key, replacing those that exist."""
        ...

    def update(self, table: str, rows: Rows) -> None:
        """Change rows (`UPDATES`); executions that are not found raise `Conflict`."""
        ...

    def delete(self, table: str, rows: Rows) -> None:
        """Delete the rows of these keys (`KEYS`)."""
        ...


@dataclass(frozen=True, slots=True)
class Text:
    """The statements of one table."""

    insert: str
    add: str
    put: str
    update: str
    delete: str


@contextmanager
def writing(database: Database, tx: Tx) -> Iterator[Hot]:
    """The hot statements of a transaction, which ends here; raises `Conflict`."""
    if database.kind == "sqlite":
        yield SqliteHot(tx.raw)
        return
    try:
        with tx.raw.pipeline():
            yield PostgresHot(tx.raw)
            tx.raw.commit()
    except database.driver_error as error:
        if _conflicts(error):
            raise Conflict("an execution of the batch was changed by somebody else") from error
        raise


class SqliteHot:
    """Hot statements on a connection of sqlite3."""

    def __init__(self, raw: sqlite3.Connection) -> None:
        self._raw = raw

    def insert(self, table: str, rows: Rows) -> None:
        """Add rows; one that exists is an error."""
        try:
            self._raw.executemany(SQLITE[table].insert, rows)
        except sqlite3.IntegrityError as error:
            if table == "executions":
                raise Conflict("an execution of the batch exists already") from error
            raise

    def add(self, table: str, rows: Rows) -> None:
        """Add rows but those that exist."""
        self._raw.executemany(SQLITE[table].add, rows)

    def put(self, table: str, rows: Rows) -> None:
        """Add rows, replacing those that exist."""
        self._raw.executemany(SQLITE[table].put, rows)

    def update(self, table: str, rows: Rows) -> None:
        """Change rows; executions that are not found raise `Conflict`."""
        found = self._raw.executemany(SQLITE[table].update, rows).rowcount
        if table == "executions" and found != len(rows):
            raise Conflict(
                f"{len(rows) - found} of {len(rows)} executions were changed by somebody else"
            )

    def delete(self, table: str, rows: Rows) -> None:
        """Delete the rows of these keys."""
        self._raw.executemany(SQLITE[table].delete, rows)


class PostgresHot:
    """Hot statements in a pipeline of psycopg: errors come when it ends."""

    def __init__(self, raw: Any, *, limit: int = JSON_LIMIT) -> None:
        self._raw = raw
        self._limit = limit

    def insert(self, table: str, rows: Rows) -> None:
        """Add rows; one that exists is an error."""
        self._run(POSTGRES[table].insert, rows)

    def add(self, table: str, rows: Rows) -> None:
        """Add rows but those that exist."""
        self._run(POSTGRES[table].add, rows)

    def put(self, table: str, rows: Rows) -> None:
        """Add rows, replacing those that exist."""
        self._run(POSTGRES[table].put, rows)

    def update(self, table: str, rows: Rows) -> None:
        """Change rows; executions that are not found raise `Conflict` at the end."""
        self._run(POSTGRES[table].update, rows)

    def delete(self, table: str, rows: Rows) -> None:
        """Delete the rows of these keys."""
        self._run(POSTGRES[table].delete, rows)

    def _run(self, sql: str, rows: Rows) -> None:
        text = orjson.dumps(rows)
        if len(text) > self._limit and len(rows) > 1:
            half = len(rows) // 2
            self._run(sql, rows[:half])
            self._run(sql, rows[half:])
        else:
            self._raw.execute(sql, {"rows": text.decode()})


def columns(table: Table) -> tuple[str, ...]:
    """The columns that a row of the table gives."""
    numbered = table.name in NUMBERED
    return tuple(c.name for c in table.columns if not (numbered and c.primary_key))


def keys(table: Table) -> tuple[str, ...]:
    """The columns that rows to change or delete are found by."""
    return KEYS.get(table.name) or tuple(c.name for c in table.primary_key.columns)


def _sqlite_text(table: Table) -> Text:
    names = columns(table)
    marks = ", ".join("?" for _ in names)
    insert = f"INSERT INTO {table.name} ({_listed(names)}) VALUES ({marks})"  # noqa: S608
    found = " AND ".join(f'"{key}" = ?' for key in keys(table))
    changes = ", ".join(f'"{name}" = ?' for name in UPDATES.get(table.name, ()))
    return Text(
        insert=insert,
        add=insert + _clash(table, put=False),
        put=insert + _clash(table, put=True),
        update=f"UPDATE {table.name} SET {changes} WHERE {found}",  # noqa: S608 - our own names
        delete=f"DELETE FROM {table.name} WHERE {found}",  # noqa: S608
    )


def _postgres_text(table: Table) -> Text:
    names = columns(table)
    given = "jsonb_array_elements(%(rows)s::jsonb) AS r"
    values = ", ".join(_value(table, name, place) for place, name in enumerate(names))
    insert = f"INSERT INTO {table.name} ({_listed(names)}) SELECT {values} FROM {given}"  # noqa: S608
    changed = UPDATES.get(table.name, ())
    changes = ", ".join(
        f'"{name}" = {_value(table, name, place)}' for place, name in enumerate(changed)
    )
    update = (
        f"UPDATE {table.name} AS t SET {changes} FROM {given}"  # noqa: S608
        f" WHERE {_found(table, len(changed))}"
    )
    if table.name == "executions":
        # The statement fails when it has not changed as many rows as it was given.
        update = (
            f"WITH changed AS ({update} RETURNING 1)"  # noqa: S608
            " SELECT 1 / (count(*) = jsonb_array_length(%(rows)s::jsonb))::integer FROM changed"
        )
    return Text(
        insert=insert,
        add=insert + _clash(table, put=False),
        put=insert + _clash(table, put=True),
        update=update,
        delete=f"DELETE FROM {table.name} AS t USING {given} WHERE {_found(table, 0)}",  # noqa: S608
    )


def _found(table: Table, start: int) -> str:
    places = enumerate(keys(table), start)
    return " AND ".join(f't."{key}" = {_value(table, key, place)}' for place, key in places)


def _value(table: Table, name: str, place: int) -> str:
    """The value at a place of the JSON row, as the column wants it."""
    kind = table.columns[name].type
    match getattr(kind, "impl_instance", kind):
        case BigInteger():
            cast = "::bigint"
        case Integer():
            cast = "::integer"
        case Float():
            cast = "::double precision"
        case Boolean():
            cast = "::boolean"
        case _:
            cast = ""
    return f"(r.value->>{place}){cast}"


def _clash(table: Table, *, put: bool) -> str:
    own = [c.name for c in table.primary_key.columns]
    if not put:
        return f" ON CONFLICT ({_listed(own)}) DO NOTHING"
    names = [name for name in columns(table) if name not in own]
    changes = ", ".join(f'"{name}" = excluded."{name}"' for name in names)
    return f" ON CONFLICT ({_listed(own)}) DO UPDATE SET {changes}"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _conflicts(error: Exception) -> bool:
    """Whether an execution was there already, or an update has failed itself (division by 0)."""
    state = getattr(error, "sqlstate", None)
    clash = getattr(getattr(error, "diag", None), "constraint_name", None)
    return state == "22012" or (state == "23505" and clash == "pk_executions")


SQLITE = {table.name: _sqlite_text(table) for table in TABLES}
POSTGRES = {table.name: _postgres_text(table) for table in TABLES}
