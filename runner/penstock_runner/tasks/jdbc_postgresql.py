"""Tasks on a PostgreSQL database: statements, and whole files in and out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, Literal

from pydantic import Field

from penstock_runner.tasks.api import Outputs, RunContext, TaskFailed, task
from penstock_runner.tasks.ion import BadItem
from penstock_runner.tasks.items import read_items
from penstock_runner.tasks.jdbc_results import FetchProperties, FetchType, ResultSet, given_back
from penstock_runner.tasks.postgresql_connection import PostgresProperties, connected
from penstock_runner.tasks.sql_text import gives_rows, statements, with_named, with_positions
from penstock_runner.tasks.stored import opened, put_written

if TYPE_CHECKING:
    import psycopg

CHUNK = 1 << 20
Texts = tuple[str, ...]
_IDENTIFIER = re.compile(r'(?:[^\W\d][\w$]*|"[^"]+")(?:\.(?:[^\W\d][\w$]*|"[^"]+"))*')


class _Statements(PostgresProperties, FetchProperties):
    def _run(
        self, ctx: RunContext, connection: psycopg.Connection[Any], sql: str, how: FetchType
    ) -> dict[str, object] | None:
        """Run one statement; its outputs, None when it gives no rows."""
        import psycopg

        values: dict[str, Any] = {k: _adapted(v) for k, v in (self.parameters or {}).items()}
        text = with_named(sql, values) if values else sql
        with psycopg.ClientCursor(connection) as cursor:
            if how == "STORE" and gives_rows(sql):
                return given_back(ctx, _streamed(cursor, text, values or None), how, self.zone)
            cursor.execute(text.encode(), values or None)
            if cursor.description is None:
                return None
            columns = [column.name for column in cursor.description]
            result = ResultSet(columns=columns, rows=cursor)
            return given_back(ctx, result, how, self.zone)

    def _statements(self) -> list[str]:
        found = statements(self.sql)
        if not found:
            raise TaskFailed("`sql` holds no statement")
        return found


@task("io.kestra.plugin.jdbc.postgresql.Query")
class Query(_Statements):
    """Run a statement and give its rows back (of several statements, those of the last)."""

    after_sql: Annotated[str | None, Field(alias="afterSQL")] = None
    auto_commit: bool = True

    def run(self, ctx: RunContext) -> Outputs:
        """Run the statements in order."""
        found = self._statements()
        alone = self.auto_commit and self.after_sql is None
        with connected(ctx, self, autocommit=alone) as connection:
            outputs: dict[str, object] = {}
            for number, sql in enumerate(found, 1):
                how = self.wanted if number == len(found) else "NONE"
                outputs = self._run(ctx, connection, sql, how) or {}
            for sql in statements(self.after_sql or ""):
                self._run(ctx, connection, sql, "NONE")
        return outputs


@task("io.kestra.plugin.jdbc.postgresql.Queries")
class Queries(_Statements):
    """Run several statements; `outputs` has an entry for each that gives rows."""

    transaction: bool = True
    after_sql: Annotated[str | None, Field(alias="afterSQL")] = None

    def run(self, ctx: RunContext) -> Outputs:
        """Run the statements, in one transaction unless told otherwise."""
        found = self._statements()
        with connected(ctx, self, autocommit=not self.transaction) as connection:
            results = [self._run(ctx, connection, sql, self.wanted) for sql in found]
            for sql in statements(self.after_sql or ""):
                self._run(ctx, connection, sql, "NONE")
        return {"outputs": [result for result in results if result is not None]}


class _Copy(PostgresProperties):
    format: Literal["TEXT", "CSV", "BINARY"] = "TEXT"
    header: bool | None = None
    delimiter: str | None = None
    null_string: str | None = None
    quote: str | None = None
    escape: str | None = None
    encoding: str | None = None
    force_not_null: Texts | None = None
    force_null: Texts | None = None
    force_quote: Texts | None = None
    freeze: bool | None = None
    oids: bool | None = None
    table: str | None = None
    columns: Texts | None = None

    def _options(self) -> str:
        words = {"HEADER": self.header, "FREEZE": self.freeze, "OIDS": self.oids}
        texts = {
            "DELIMITER": self.delimiter,
            "NULL": self.null_string,
            "QUOTE": self.quote,
            "ESCAPE": self.escape,
            "ENCODING": self.encoding,
        }
        lists = {
            "FORCE_NOT_NULL": self.force_not_null,
            "FORCE_NULL": self.force_null,
            "FORCE_QUOTE": self.force_quote,
        }
        found = [f"FORMAT {self.format}"]
        found += [f"{name} {str(on).upper()}" for name, on in words.items() if on is not None]
        found += [f"{name} {_literal(text)}" for name, text in texts.items() if text is not None]
        for name, columns in lists.items():
            if columns:
                chosen = "*" if columns == ("*",) else f"({_names(columns)})"
                found.append(f"{name} {chosen}")
        return f"WITH ({', '.join(found)})"

    def _target(self) -> str:
        if self.table is None:
            raise TaskFailed("`table` is required")
        columns = f" ({_names(self.columns)})" if self.columns else ""
        return f"{_name(self.table)}{columns}"


@task("io.kestra.plugin.jdbc.postgresql.CopyIn")
class CopyIn(_Copy):
    """Load a stored file into a table; its output is `rowCount`."""

    from_: Annotated[str, Field(alias="from")]

    def run(self, ctx: RunContext) -> Outputs:
        """Stream the file to the server."""
        sql = f"COPY {self._target()} FROM STDIN {self._options()}"
        with (
            opened(ctx, self.from_) as stream,
            connected(ctx, self, autocommit=False) as connection,
            connection.cursor() as cursor,
        ):
            with cursor.copy(sql.encode()) as copy:
                while chunk := stream.read(CHUNK):
                    copy.write(chunk)
            count = cursor.rowcount
        ctx.metric("rows", "counter", count)
        return {"rowCount": count}


@task("io.kestra.plugin.jdbc.postgresql.CopyOut")
class CopyOut(_Copy):
    """Store a table, or the rows of a query, as a file; its outputs are `uri` and `rowCount`."""

    sql: str | None = None

    def run(self, ctx: RunContext) -> Outputs:
        """Stream the rows from the server."""
        source = f"({self.sql.strip().rstrip(';')})" if self.sql is not None else self._target()
        sql = f"COPY {source} TO STDOUT {self._options()}"
        with (
            connected(ctx, self, autocommit=False) as connection,
            connection.cursor() as cursor,
        ):

            def write(out: BinaryIO) -> int:
                with cursor.copy(sql.encode()) as copy:
                    out.writelines(copy)
                return cursor.rowcount

            uri, count = put_written(ctx, f"copy.{self.format.lower()}", write)
        ctx.metric("rows", "counter", count)
        return {"uri": uri, "rowCount": count}


@task("io.kestra.plugin.jdbc.postgresql.Batch")
class Batch(PostgresProperties):
    """Run one statement for each item of a file; outputs `rowCount` and `updatedCount`."""

    from_: Annotated[str, Field(alias="from")]
    sql: str | None = None
    table: str | None = None
    columns: Texts | None = None
    chunk: int = Field(default=1000, ge=1)
    time_zone_id: str | None = None

    def run(self, ctx: RunContext) -> Outputs:
        """Send the items in chunks, all in one transaction."""
        rows = updated = 0
        with (
            opened(ctx, self.from_) as stream,
            connected(ctx, self, autocommit=False) as connection,
            connection.cursor() as cursor,
        ):
            items = iter(_checked(self.from_, read_items(stream)))
            while some := list(islice(items, self.chunk)):
                sql = self._statement(some[0])
                cursor.executemany(sql.encode(), [self._values(item) for item in some])
                rows += len(some)
                updated += max(cursor.rowcount, 0)
        ctx.metric("records", "counter", rows)
        return {"rowCount": rows, "updatedCount": updated}

    def _statement(self, item: object) -> str:
        if self.sql is not None:
            return with_positions(self.sql)
        if self.table is None:
            raise TaskFailed("`sql` or `table` is required")
        columns = self.columns or (tuple(item) if isinstance(item, Mapping) else ())
        places = ", ".join(["%s"] * len(columns or self._values(item)))
        named = f" ({_names(columns)})" if columns else ""
        return f"INSERT INTO {_name(self.table)}{named} VALUES ({places})"  # noqa: S608 - names

    def _values(self, item: object) -> Sequence[object]:
        if isinstance(item, Mapping):
            names: Iterable[str] = self.columns or item
            return [_adapted(item.get(name)) for name in names]
        return [_adapted(value) for value in item] if isinstance(item, list) else [_adapted(item)]


def _streamed(
    cursor: psycopg.ClientCursor[Any], text: str, values: Mapping[str, Any] | None
) -> ResultSet:
    rows = cursor.stream(text.encode(), values)
    first = next(rows, None)
    columns = [column.name for column in cursor.description or ()]
    if first is None:
        return ResultSet(columns=columns, rows=())
    return ResultSet(columns=columns, rows=_with_first(first, rows))


def _with_first(first: Any, rest: Iterator[Any]) -> Iterator[Any]:
    yield first
    yield from rest


def _checked(uri: str, items: Iterator[object]) -> Iterator[object]:
    try:
        yield from items
    except BadItem as error:
        raise TaskFailed(f"{uri}: {error}") from None


def _adapted(value: object) -> object:
    """A value that the driver knows; maps and lists of maps go in as JSON."""
    holds_map = isinstance(value, list) and any(isinstance(item, Mapping) for item in value)
    if isinstance(value, Mapping) or holds_map:
        from psycopg.types.json import Jsonb

        return Jsonb(value)
    return value


def _names(names: Iterable[str]) -> str:
    return ", ".join(_name(name) for name in names)


def _name(name: str) -> str:
    """An identifier as written, so that the server folds its case; odd ones are quoted."""
    if _IDENTIFIER.fullmatch(name.strip()):
        return name.strip()
    quoted = name.replace('"', '""')
    return f'"{quoted}"'


def _literal(text: str) -> str:
    plain = {"\\t": "\t", "\\n": "\n"}.get(text, text)
    quoted = plain.replace("'", "''")
    return f"E'{quoted.replace(chr(92), chr(92) * 2)}'" if "\\" in quoted else f"'{quoted}'"
