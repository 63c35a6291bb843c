"""Opening a store: its URLs, its errors in plain words, and who may write."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.exc import DBAPIError
from tests.executor.test_store_contract import created, execution, stored
from tests.postgres import Cluster

from penstock_server.store import checkpoints, migrations
from penstock_server.store.engine import (
    Database,
    StoreUnavailable,
    acquire_leadership,
    open_store,
)
from penstock_server.store.executions import SqlStore
from penstock_server.store.faults import reason

ROOT = os.geteuid() == 0


@contextmanager
def refused(*words: str) -> Iterator[None]:
    """The block ends in one clear line that has these words."""
    with pytest.raises(StoreUnavailable) as caught:
        yield
    text = str(caught.value)
    assert "\n" not in text
    assert [word for word in words if word not in text] == [], text


def pragma(database: Database, name: str) -> object:
    with database.begin() as tx:
        return tx.raw.execute(f"PRAGMA {name}").fetchone()[0]


def test_sqlite_is_durable_and_keeps_a_log(tmp_path: Path) -> None:
    full = open_store(f"sqlite:///{tmp_path}/deep/er/a.db")
    relaxed = open_store(f"sqlite:///{tmp_path}/b.db", durability="relaxed")
    found = [pragma(full, name) for name in ("journal_mode", "synchronous", "foreign_keys")]
    assert found == ["wal", 2, 1]
    assert pragma(full, "busy_timeout") == 5000
    assert pragma(relaxed, "synchronous") == 1
    full.close()
    relaxed.close()


@pytest.mark.postgres
def test_postgresql_commits_for_good(postgres_store: Callable[[], str]) -> None:
    database = open_store(postgres_store())
    with database.begin() as tx:
        assert tx.connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"
    database.close()


@pytest.mark.postgres
def test_postgresql_has_several_spellings(
    postgres: Cluster, postgres_store: Callable[[], str]
) -> None:
    url = postgres_store()
    place = f"{postgres.host}:{postgres.port}/{url.rpartition('/')[2]}"
    for spelling, user in (
        (f"postgres://{postgres.user}@{place}", None),
        (f"jdbc:postgresql://{place}", postgres.user),
        (f"jdbc:postgresql://{place}?user={postgres.user}&password=x", None),
        (f"postgresql+psycopg://{postgres.user}@{place}", None),
    ):
        database = open_store(spelling, user=user)
        assert migrations.current(database) == migrations.HEAD
        database.close()


@pytest.mark.parametrize("url", ["", "mysql://x/y", "sqlite://", "sqlite:///:memory:", "a b"])
def test_other_urls_are_refused_with_those_that_work(url: str) -> None:
    with refused("sqlite:///", "postgresql://"):
        open_store(url)


def test_readers_cannot_write(database: Database) -> None:
    with pytest.raises((StoreUnavailable, DBAPIError)), database.read() as connection:
        connection.exec_driver_sql("DELETE FROM settings")


def test_a_reader_sees_one_state_of_sqlite(tmp_path: Path) -> None:
    database = open_store(f"sqlite:///{tmp_path}/a.db")
    migrations.upgrade(database)
    count = "SELECT count(*) FROM settings"
    with database.read() as connection:
        assert connection.exec_driver_sql(count).scalar() == 0
        with database.begin() as tx:
            tx.connection.exec_driver_sql("INSERT INTO settings VALUES ('a', '1')")
        assert connection.exec_driver_sql(count).scalar() == 0
    with database.read() as connection:
        assert connection.exec_driver_sql(count).scalar() == 1
    database.close()


def test_both_ways_of_a_transaction_are_one(database: Database) -> None:
    def both() -> None:
        with database.begin() as tx:
            tx.connection.exec_driver_sql("INSERT INTO settings VALUES ('a', '1')")
            tx.execute_many("INSERT INTO settings VALUES (?, ?)", [("b", "1"), ("c", "1")])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        both()
    with database.begin() as tx:
        assert tx.execute_many("DELETE FROM settings WHERE key = ?", [("a",), ("b",)]) == 0


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("dear diary, " * 200)
    with refused("notes.txt", "is no SQLite database"):
        open_store(f"sqlite:///{tmp_path}/notes.txt")


def test_a_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with refused("file", "cannot be made"):
        open_store(f"sqlite:///{tmp_path}/file/a.db")


@pytest.mark.skipif(ROOT, reason="root may write everywhere")
def test_a_read_only_folder_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with refused("a.db", "cannot be opened"):
        open_store(f"sqlite:///{tmp_path}/a.db")


def test_a_file_that_may_not_be_written_is_said(tmp_path: Path) -> None:
    open_store(f"sqlite:///{tmp_path}/a.db").close()
    with (
        closing(sqlite3.connect(f"file:{tmp_path}/a.db?mode=ro", uri=True)) as file,
        pytest.raises(sqlite3.OperationalError) as caught,
    ):
        file.execute("CREATE TABLE a (b)")
    said = reason(caught.value, "a.db")
    assert said is not None
    assert "read-only" in said


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    database = open_store(f"sqlite:///{tmp_path}/a.db")
    migrations.upgrade(database)
    database.close()
    with (tmp_path / "a.db").open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * 20_000)
    with refused("a.db", "damaged"):
        again = open_store(f"sqlite:///{tmp_path}/a.db")
        migrations.upgrade(again)


def test_nobody_at_the_port_is_said() -> None:
    with refused("127.0.0.1:1/", "nothing listens there"):
        open_store("postgresql://ada:secret@127.0.0.1:1/x")


def test_an_unknown_host_is_said_without_the_password() -> None:
    with pytest.raises(StoreUnavailable, match="host name is unknown") as caught:
        open_store("postgresql://ada:secret@nowhere.invalid/x")
    assert "secret" not in str(caught.value)


@pytest.mark.postgres
def test_a_missing_database_is_said(postgres: Cluster) -> None:
    with refused("does not exist", "createdb nothing"):
        open_store(f"postgresql://{postgres.user}@{postgres.host}:{postgres.port}/nothing")


@pytest.mark.postgres
def test_a_wrong_password_is_said(postgres: Cluster) -> None:
    rules = postgres.socket_folder / "data" / "pg_hba.conf"
    before = rules.read_text()
    rules.write_text("host all locked 127.0.0.1/32 scram-sha-256\n" + before)
    with psycopg.connect(postgres.conninfo(), autocommit=True) as connection:
        connection.execute("CREATE ROLE locked LOGIN PASSWORD 'right'")
        connection.execute("SELECT pg_reload_conf()")
        place = f"{postgres.host}:{postgres.port}/postgres"
        try:
            with refused("password is wrong", f"locked:***@{place}"):
                open_store(f"jdbc:postgresql://{place}", user="locked", password="wrong")
            open_store(f"jdbc:postgresql://{place}", user="locked", password="right").close()
        finally:
            rules.write_text(before)
            connection.execute("SELECT pg_reload_conf()")
            connection.execute("DROP ROLE locked")


@pytest.mark.postgres
def test_a_read_only_database_is_said(postgres_store: Callable[[], str]) -> None:
    database = open_store(postgres_store())
    with refused("read-only"), database.begin() as tx:
        tx.connection.exec_driver_sql("SET TRANSACTION READ ONLY")
        tx.connection.exec_driver_sql("DELETE FROM settings")
    database.close()


def test_one_process_leads_and_the_next_is_told_who(tmp_path: Path) -> None:
    held = acquire_leadership(tmp_path / "home")
    with refused(str(os.getpid()), "in use by another penstock process"):
        acquire_leadership(tmp_path / "home")
    held.release()
    acquire_leadership(tmp_path / "home").release()


def test_the_lock_of_a_process_that_was_killed_is_free(tmp_path: Path) -> None:
    program = (
        "import sys\nfrom pathlib import Path\n"
        "from penstock_server.store.engine import acquire_leadership\n"
        f"held = acquire_leadership(Path({str(tmp_path)!r}))\n"
        "print('held', flush=True)\nsys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": ":".join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        with refused(f"pid {child.pid}"):
            acquire_leadership(tmp_path)
        child.kill()
        child.wait(timeout=10)
        acquire_leadership(tmp_path).release()


def test_a_store_has_one_leader(store_url: str) -> None:
    first, second = open_store(store_url), open_store(store_url)
    first.lead()
    first.lead()
    with refused("in use by another penstock process"):
        second.lead()
    first.close()
    second.lead()
    second.close()


@pytest.mark.postgres
def test_a_leader_that_loses_its_connection_writes_again_only_as_leader(
    postgres: Cluster, postgres_store: Callable[[], str]
) -> None:
    url = postgres_store()
    leader, other = open_store(url), open_store(url)
    leader.lead()
    store = SqlStore(leader)
    store.write(created(execution(1)))
    assert store.unended() == [execution(1).id]

    def cut() -> None:
        with psycopg.connect(postgres.conninfo(), autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE datname = %s AND application_name = 'penstock'",
                (leader.name,),
            )

    cut()
    with refused("store"):
        store.write(created(execution(2)))
    store.write(created(execution(2)))
    cut()
    assert store.load([execution(1).id]) == stored(execution(1))
    with refused("store"):
        store.write(created(execution(3)))
    other.lead()
    assert not leader.deposed
    with refused("in use by another penstock process"):
        store.write(created(execution(3)))
    assert leader.deposed
    for one in (store, leader, other):
        one.close()


def test_a_full_disk_is_one_clear_error_and_the_store_stays_readable(tmp_path: Path) -> None:
    database = open_store(f"sqlite:///{tmp_path}/a.db")
    migrations.upgrade(database)
    store = SqlStore(database)
    store.write(created(execution(1)))
    with database.begin() as tx:
        pages = tx.raw.execute("PRAGMA page_count").fetchone()[0]
        tx.raw.execute(f"PRAGMA max_page_count = {pages + 2}")
    big = execution(2, inputs={"text": "x" * 50_000})
    with refused("a.db", "disk is full"):
        store.write(created(big))
    assert store.unended() == [execution(1).id]
    with database.begin() as tx:
        tx.raw.execute("PRAGMA max_page_count = 100000")
    store.write(created(big))
    assert store.load([big.id]) == stored(big)
    store.close()
    database.close()


def test_a_log_that_may_not_grow_is_one_clear_error(tmp_path: Path) -> None:
    """The file-size limit of the process stands for a quota: SQLite meets it while it writes."""
    program = (
        "import resource, signal\n"
        "from tests.executor.test_store_contract import created, execution\n"
        "from penstock_server.store import migrations\n"
        "from penstock_server.store.engine import StoreUnavailable, open_store\n"
        "from penstock_server.store.executions import SqlStore\n"
        f"database = open_store('sqlite:///{tmp_path}/a.db')\n"
        "migrations.upgrade(database)\n"
        "store = SqlStore(database)\n"
        "store.write(created(execution(1)))\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "limits = resource.getrlimit(resource.RLIMIT_FSIZE)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, limits[1]))\n"
        "try:\n"
        "    store.write(created(execution(2, inputs={'text': 'x' * 900_000})))\n"
        "except StoreUnavailable as error:\n"
        "    print(error)\n"
        "print(store.unended() == [execution(1).id])\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, limits)\n"
        "store.write(created(execution(2)))\n"
        "print(len(store.unended()))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": ":".join([*sys.path, str(Path.cwd())])},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    said, readable, count = done.stdout.splitlines()
    assert "a.db" in said
    assert "disk" in said
    assert (readable, count) == ("True", "2")


def test_the_log_of_sqlite_goes_into_the_file_while_writes_go_on(tmp_path: Path) -> None:
    database = open_store(f"sqlite:///{tmp_path}/a.db", durability="relaxed")
    migrations.upgrade(database)
    for n in range(checkpoints.EVERY):
        with database.begin() as tx:
            tx.execute_many("INSERT INTO settings VALUES (?, ?)", [(str(n), "1")])
    deadline = time.monotonic() + 10
    while (seen := rows_in_the_file(tmp_path / "a.db")) < checkpoints.EVERY:
        assert time.monotonic() < deadline, f"only {seen} rows are in the file"
    database.close()
    assert not (tmp_path / "a.db-wal").exists()


def rows_in_the_file(path: Path) -> int:
    """What the file has without its log; 0 while something is being copied into it."""
    with closing(sqlite3.connect(f"file:{path}?immutable=1", uri=True)) as file:
        try:
            [count] = file.execute("SELECT count(*) FROM settings").fetchone()
        except sqlite3.DatabaseError:
            return 0
        return int(count)
