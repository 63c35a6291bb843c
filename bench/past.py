"""Fills a PostgreSQL store with executions of the past: copies of one that ran, written in bulk."""

from __future__ import annotations

import psycopg
from psycopg import sql

from penstock_server.store.executions import OF_EXECUTION
from penstock_server.store.schema import Instant, Serial, metadata

SLICE = 100_000
SECOND = 1_000_000
DAY = 86_400 * SECOND


def fill(url: str, execution_id: str, count: int) -> None:
    """Copy all rows of an execution so many times, a second apart and over a day in the past."""
    with psycopg.connect(url, autocommit=True) as connection:
        for first in range(0, count, SLICE):
            slice_ = {"count": count, "first": first + 1, "last": min(first + SLICE, count)}
            for table in ("executions", *OF_EXECUTION):
                connection.execute(_copies(table), {**slice_, "id": execution_id})
        # Without it the planner would take a while to see that the tables have grown.
        connection.execute("VACUUM ANALYZE")


def _copies(table: str) -> sql.Composed:
    """One statement that copies one table's rows of an execution."""
    columns = [column for column in metadata.tables[table].columns if column.type is not Serial]
    own = "id" if table == "executions" else "execution_id"
    # Such an id sorts before those that the service gives.
    ago = sql.SQL("{} - " + f"({DAY} + (%(count)s - copy) * {SECOND})::bigint")
    values = [
        sql.SQL("lpad(copy::text, 22, '0')")
        if column.name == own
        else ago.format(sql.Identifier(column.name))
        if isinstance(column.type, Instant)
        else sql.Identifier(column.name)
        for column in columns
    ]
    return sql.SQL(
        "INSERT INTO {table} ({names}) SELECT {values}"
        " FROM {table}, generate_series(%(first)s::bigint, %(last)s::bigint) AS copy"
        " WHERE {own} = %(id)s"
    ).format(
        table=sql.Identifier(table),
        names=sql.SQL(", ").join(sql.Identifier(column.name) for column in columns),
        values=sql.SQL(", ").join(values),
        own=sql.Identifier(own),
    )
