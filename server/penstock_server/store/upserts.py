"""Adding rows that may be there already, for the tables off the hot path; rows are dictionaries."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import fields
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite

Values = Mapping[str, Any]


def values_of(value: Any) -> dict[str, Any]:
    """A frozen value as a row: its fields are named like the columns."""
    return {item.name: getattr(value, item.name) for item in fields(value)}


def put(
    connection: Connection, table: Table, rows: Iterable[Values], *, keep: Collection[str] = ()
) -> None:
    """Add rows, or replace those of the same primary key, but for the columns in `keep`."""
    given = list(rows)
    if not given:
        return
    names = tuple(given[0])
    statement = _upsert(connection.dialect.name, table, names, frozenset(keep))
    connection.execute(statement, given)


def add(connection: Connection, table: Table, row: Values) -> bool:
    """Add a row unless there is one of the same primary key; whether it was added."""
    own = [column.name for column in table.primary_key.columns]
    statement = _insert(connection, table).values(**row).on_conflict_do_nothing(index_elements=own)
    added = connection.execute(statement, execution_options={"preserve_rowcount": True})
    return added.rowcount == 1


def add_all(connection: Connection, table: Table, rows: Sequence[Values]) -> None:
    """Add those rows that are not there by their primary key."""
    if rows:
        own = [column.name for column in table.primary_key.columns]
        statement = _insert(connection, table).on_conflict_do_nothing(index_elements=own)
        connection.execute(statement, list(rows))


@lru_cache(maxsize=256)
def _upsert(dialect: str, table: Table, names: Sequence[str], keep: Collection[str]) -> Any:
    """Made once: putting the statement together takes as long as carrying it out."""
    statement = (sqlite if dialect == "sqlite" else postgresql).insert(table)
    own = [column.name for column in table.primary_key.columns]
    changes = {
        name: statement.excluded[name] for name in names if name not in own and name not in keep
    }
    return statement.on_conflict_do_update(index_elements=own, set_=changes)


def _insert(connection: Connection, table: Table) -> Any:
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    return dialect.insert(table)
