"""Tasks on SQLite databases: a stored file, or one in memory."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from penstock_runner.tasks.api import Cancelled, Outputs, RunContext, TaskFailed, task
from penstock_runner.tasks.jdbc_results import FetchProperties, FetchType, ResultSet, given_back
from penstock_runner.tasks.sql_text import statements
from penstock_runner.tasks.storage import BadAddress, FileMissing
from penstock_runner.tasks.stored import place

BUSY_SECONDS = 10.0


class _Statements(FetchProperties):
    url: str = "jdbc:sqlite:"
    username: str | None = None
    password: str | None = None
    sqlite_file: str | None = None
    output_db_file: bool = False
    after_sql: Annotated[str | None, Field(alias="afterSQL")] = None

    def _run(
        self, ctx: RunContext, connection: sqlite3.Connection, sql: str, how: FetchType
    ) -> dict[str, object] | None:
        """Run one statement; its outputs, None when it gives no rows."""
        cursor = connection.execute(sql, dict(self.parameters or {}))
        if cursor.description is None:
            return None
        columns = [column[0] for column in cursor.description]
        return given_back(ctx, ResultSet(columns=columns, rows=cursor), how, self.zone)

    def _statements(self) -> list[str]:
        found = statements(self.sql)
        if not found:
            raise TaskFailed("`sql` holds no statement")
        return found

    @contextmanager
    def _opened(self, ctx: RunContext) -> Iterator[tuple[sqlite3.Connection, dict[str, str]]]:
        """A connection, and a map that holds the address of the kept file afterwards."""
        kept: dict[str, str] = {}
        with tempfile.TemporaryDirectory(dir=ctx.workspace) as folder:
            path = self._file(ctx, Path(folder))
            connection = sqlite3.connect(
                path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            connection.set_authorizer(_fence(ctx.workspace))
            cancelled = False

            def stop() -> None:
                nonlocal cancelled
                cancelled = True
                connection.interrupt()

            ctx.on_cancel(stop)
            try:
                yield connection, kept
            except sqlite3.Error as error:
                if cancelled:
                    raise Cancelled from None
                raise TaskFailed(_words(error)) from None
            finally:
                connection.close()
            if self.output_db_file:
                kept["databaseUri"] = ctx.storage.put_file(place(ctx, "database.sqlite"), path)

    def _file(self, ctx: RunContext, folder: Path) -> Path:
        """The file to work on: a copy of a stored one, one of the workspace, or a new one."""
        if self.sqlite_file is not None:
            target = folder / "database.sqlite"
            try:
                ctx.storage.fetch(self.sqlite_file, target)
            except (BadAddress, FileMissing) as error:
                raise TaskFailed(str(error)) from None
            return target
        if not self.url.startswith("jdbc:sqlite:"):
            raise TaskFailed("`url` must look like jdbc:sqlite:file.db")
        name = self.url.removeprefix("jdbc:sqlite:").partition("?")[0]
        if name in {"", ":memory:"}:
            return folder / "database.sqlite"
        path = (ctx.workspace / name).resolve()
        if not path.is_relative_to(ctx.workspace.resolve()):
            raise TaskFailed(
                f"`url` names {name}, which is outside of the working directory: "
                "give the database as `sqliteFile`"
            )
        return path


def _words(error: sqlite3.Error) -> str:
    if "authoriz" in str(error):
        return "Only files of the working directory can be attached, by their absolute path"
    return str(error)


def _fence(workspace: Path) -> Callable[[int, str | None, str | None, str | None, str | None], int]:
    """Statements may attach files of the working directory only; VACUUM INTO attaches too."""
    top = workspace.resolve()

    def allowed(action: int, name: str | None, *_: str | None) -> int:
        if action == sqlite3.SQLITE_ATTACH and name not in {None, "", ":memory:"}:
            path = Path(str(name))
            # A relative name would be looked up where the process is, not in the workspace.
            if not path.is_absolute() or not path.resolve().is_relative_to(top):
                return sqlite3.SQLITE_DENY
        return sqlite3.SQLITE_OK

    return allowed


@task("io.kestra.plugin.jdbc.sqlite.Query")
class Query(_Statements):
    """Run a statement and give its rows back (of several statements, those of the last)."""

    def run(self, ctx: RunContext) -> Outputs:
        """Run the statements in order."""
        found = self._statements()
        outputs: dict[str, Any] = {}
        with self._opened(ctx) as (connection, kept):
            for number, sql in enumerate(found, 1):
                how = self.wanted if number == len(found) else "NONE"
                outputs = self._run(ctx, connection, sql, how) or {}
            for sql in statements(self.after_sql or ""):
                self._run(ctx, connection, sql, "NONE")
        return {**outputs, **kept}


@task("io.kestra.plugin.jdbc.sqlite.Queries")
class Queries(_Statements):
    """Run several statements; `outputs` has an entry for each that gives rows."""

    transaction: bool = True

    def run(self, ctx: RunContext) -> Outputs:
        """Run the statements, in one transaction unless told otherwise."""
        found = self._statements()
        with self._opened(ctx) as (connection, kept):
            if self.transaction:
                connection.execute("BEGIN")
            results = [self._run(ctx, connection, sql, self.wanted) for sql in found]
            for sql in statements(self.after_sql or ""):
                self._run(ctx, connection, sql, "NONE")
            if connection.in_transaction:
                connection.execute("COMMIT")
        return {"outputs": [result for result in results if result is not None], **kept}
