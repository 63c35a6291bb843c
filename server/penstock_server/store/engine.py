"""The database itself: one connection that writes, some that read, and who may write at all.

Every write goes through `Database.begin()`, one transaction on the one writing connection. Hot code
runs text on the driver's connection (`Tx.raw`), all else SQLAlchemy Core on `Tx.connection`; both
are the same transaction. Readers see what was committed last.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.pool import NullPool, QueuePool

from penstock_server.store.checkpoints import Checkpoints
from penstock_server.store.faults import StoreInUse, StoreUnavailable, reason
from penstock_server.store.leadership import Leadership, acquire_leadership

__all__ = ["Database", "Leadership", "StoreUnavailable", "Tx", "acquire_leadership", "open_store"]

# Names this program among all holders of advisory locks of a PostgreSQL database.
LEADER_LOCK = 0x70656E73746F636B
MIGRATION_LOCK = LEADER_LOCK + 1

READERS = 8
_CHECKPOINT_VALVE = 16_000  # pages: when the second connection cannot keep up, the writer does it


@dataclass(frozen=True, slots=True)
class Tx:
    """An open write transaction."""

    connection: Connection
    raw: Any
    mark: str

    def execute_many(self, sql: str, rows: Sequence[Sequence[object]]) -> int:
        """Run one statement, with `?` for its values, on many rows; the number of rows changed."""
        if not rows:
            return 0
        cursor = self.raw.cursor()
        cursor.executemany(sql if self.mark == "?" else sql.replace("?", self.mark), rows)
        return int(cursor.rowcount)


class Database:
    """A store that is open. Close it; it holds connections, and perhaps the right to write."""

    def __init__(self, url: URL, *, durability: str) -> None:
        self.kind = url.get_backend_name()
        self.name = url.database or ""
        self.shown = url.render_as_string(hide_password=True)
        self.url = url
        self._durability = durability
        self._lock = threading.Lock()
        self._leadership: Leadership | None = None
        self._leads = False
        self._led = False
        self.deposed = False
        self._writer: Connection | None = None
        self._writing = self._engine(url, writes=True)
        self._reading = self._engine(url, writes=False)
        driver = self._writing.dialect.loaded_dbapi
        self.driver_error: type[Exception] = driver.Error
        self._errors = (driver.Error, DBAPIError)
        self._checkpoints = Checkpoints(self.path) if self.kind == "sqlite" else None

    @property
    def address(self) -> str:
        """The URL for other programs, without the password."""
        return self.url.set(drivername=self.kind, password=None).render_as_string()

    @property
    def path(self) -> Path:
        """The file of a SQLite store."""
        return Path(self.name)

    @contextmanager
    def begin(self) -> Iterator[Tx]:
        """One write transaction: committed at the end, undone by an exception."""
        with self._lock, self.explained():
            writer = self._connected()
            raw = writer.connection.dbapi_connection
            try:
                if self.kind == "sqlite":
                    raw.execute("BEGIN IMMEDIATE")  # type: ignore[union-attr]
                yield Tx(writer, raw, "?" if self.kind == "sqlite" else "%s")
                _end(writer, raw, commit=True)
            except BaseException:
                self._undo(writer, raw)
                raise
        if self._checkpoints is not None:
            self._checkpoints.committed()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection that reads one consistent state of the store."""
        with self.explained(), self._reading.connect() as connection:
            yield connection

    def raw_reader(self) -> Any:
        """A driver's connection of its own that reads; each statement sees the last commit."""
        with self.explained():
            connection = self._reading.raw_connection()
            raw: Any = connection.dbapi_connection
            connection.detach()
        if self.kind != "sqlite":
            raw.autocommit = True
        return raw

    def lead(self) -> None:
        """Become the one process that writes; raises `StoreUnavailable` when another is."""
        if self._leads:
            return
        if self.kind == "sqlite":
            self._leadership = acquire_leadership(self.path.parent)
        with self._lock, self.explained():
            self._leads = True
            try:
                if self._writer is None:
                    self._connected()
                else:
                    self._take_lock(self._writer)
            except BaseException:
                self._leads = False
                raise

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Errors of the driver that a person can do something about, in that person's words."""
        try:
            yield
        except self._errors as error:
            cause = error.orig if isinstance(error, DBAPIError) else error
            why = reason(cause or error, self.name)
            if why is None:
                raise
            raise StoreUnavailable(f"store {self.shown}: {why}") from error

    def close(self) -> None:
        """Close all connections and give up the right to write."""
        if self._checkpoints is not None:
            self._checkpoints.close()
        with self._lock:
            self._drop_writer()
            self._reading.dispose()
            self._writing.dispose()
        if self._leadership is not None:
            self._leadership.release()
        self._leads = False

    def _connected(self) -> Connection:
        if self._writer is None:
            writer = self._writing.connect()
            if self._leads:
                self._take_lock(writer)
            self._writer = writer
        return self._writer

    def _take_lock(self, writer: Connection) -> None:
        """Hold the leader's lock on this very connection: who loses it cannot write any more."""
        if self.kind == "sqlite":
            return
        taken = writer.exec_driver_sql(f"SELECT pg_try_advisory_lock({LEADER_LOCK})").scalar_one()
        writer.commit()
        if not taken:
            self.deposed = self._led
            raise StoreInUse(
                f"store {self.shown} is in use by another penstock process; stop it first,"
                " or name another database"
            )
        self._led = True

    def _undo(self, writer: Connection, raw: Any) -> None:
        """Roll back; a connection that cannot is thrown away, the next write makes another."""
        try:
            _end(writer, raw, commit=False)
            broken = self.kind != "sqlite" and bool(raw.closed)
        except self._errors:
            broken = True
        if broken:
            self._drop_writer()

    def _drop_writer(self) -> None:
        if self._writer is not None:
            self._writer.invalidate()
            self._writer.close()
            self._writer = None

    def _engine(self, url: URL, *, writes: bool) -> Engine:
        pool: dict[str, Any] = {"poolclass": NullPool}
        if not writes:
            pool = {
                "poolclass": QueuePool,
                "pool_size": READERS,
                "max_overflow": READERS,
                "pool_timeout": 10,
                "pool_pre_ping": self.kind != "sqlite",
            }
        if self.kind == "sqlite":
            engine = create_engine(
                "sqlite://", creator=lambda: self._connect_sqlite(writes=writes), **pool
            )
            if not writes:
                event.listen(engine, "begin", _begin_reading)
            return engine
        arguments = _postgres_arguments(self._durability, writes=writes)
        return create_engine(url, connect_args=arguments, **pool)

    def _connect_sqlite(self, *, writes: bool) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path,
            timeout=5,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
        )
        synchronous = "NORMAL" if self._durability == "relaxed" else "FULL"
        try:
            connection.execute("PRAGMA busy_timeout = 5000")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(f"PRAGMA synchronous = {synchronous}")
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA cache_size = -16384")
            connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_VALVE}")
            connection.execute(f"PRAGMA journal_size_limit = {64 << 20}")
            if not writes:
                connection.execute("PRAGMA query_only = ON")
        except BaseException:
            connection.close()
            raise
        return connection


def open_store(
    url: str, *, durability: str = "full", user: str | None = None, password: str | None = None
) -> Database:
    """Open the store of a URL: `sqlite:///file`, `postgresql://...` or `jdbc:postgresql://...`."""
    database = Database(_parsed(url, user, password), durability=durability)
    if database.kind == "sqlite":
        try:
            database.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreUnavailable(
                f"the folder {database.path.parent} cannot be made: {error.strerror}"
            ) from error
    try:
        with database.read() as connection:
            probe = "PRAGMA schema_version" if database.kind == "sqlite" else "SELECT 1"
            connection.exec_driver_sql(probe)
    except BaseException:
        database.close()
        raise
    return database


def _parsed(text: str, user: str | None, password: str | None) -> URL:
    forms = "sqlite:///file or postgresql://user@host:port/database"
    try:
        url = make_url(text.removeprefix("jdbc:"))
    except ArgumentError as error:
        raise StoreUnavailable(f"the store's URL is not understood; write {forms}") from error
    match url.drivername.partition("+")[0]:
        case "sqlite" if url.database and url.database != ":memory:":
            return URL.create("sqlite", database=str(Path(url.database).absolute()))
        case "postgres" | "postgresql":
            query = dict(url.query)
            user = user or _text(query.pop("user", None)) or url.username
            password = password or _text(query.pop("password", None)) or url.password
            return url.set(
                drivername="postgresql+psycopg", username=user, password=password, query=query
            )
        case _:
            raise StoreUnavailable(f"a store of this kind is not known; write {forms}")


def _text(value: str | tuple[str, ...] | None) -> str | None:
    return value[0] if isinstance(value, tuple) else value


def _postgres_arguments(durability: str, *, writes: bool) -> dict[str, object]:
    settings = {
        "synchronous_commit": "off" if durability == "relaxed" else "on",
        "timezone": "UTC",
        "statement_timeout": "120s" if writes else "60s",
        "lock_timeout": "30s",
        "default_transaction_read_only": "off" if writes else "on",
    }
    return {
        "connect_timeout": 5,
        "tcp_user_timeout": 30_000,
        "keepalives_idle": 30,
        "application_name": "penstock",
        "prepare_threshold": 1,
        "options": " ".join(f"-c {name}={value}" for name, value in settings.items()),
    }


def _begin_reading(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")


def _end(writer: Connection, raw: Any, *, commit: bool) -> None:
    """End the transaction for the driver, and for SQLAlchemy when it has taken part."""
    if writer.in_transaction():
        writer.commit() if commit else writer.rollback()
    elif commit:
        raw.commit()
    if not commit:
        raw.rollback()
