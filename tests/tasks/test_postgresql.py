"""The tasks on PostgreSQL, against a real one."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.postgres import Cluster, postgres, postgres_database
from tests.tasks.context import REGISTRY, Context, Templates, run

from penstock_runner.tasks.api import Cancelled, TaskFailed
from penstock_runner.tasks.binding import bind
from penstock_runner.tasks.polling import hear
from penstock_runner.tasks.postgresql_connection import parameters_of

__all__ = ["postgres", "postgres_database"]

PLUGIN = "io.kestra.plugin.jdbc.postgresql."


class Database:
    """One database and a task context."""

    def __init__(self, cluster: Cluster, name: str, ctx: Context) -> None:
        self.url = cluster.jdbc_url(name)
        self.conninfo = cluster.conninfo(name)
        self.ctx = ctx

    def task(self, kind: str, **properties: object) -> dict[str, Any]:
        given = {"url": self.url, "username": "postgres", "password": "any", **properties}
        return run(self.ctx, PLUGIN + kind, **given)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.conninfo) as connection:
            return connection.execute(sql.encode()).fetchall()

    def stored(self, uri: str) -> list[Any]:
        return [json.loads(line) for line in self.ctx.storage.read_bytes(uri).splitlines()]


@pytest.fixture
def database(postgres: Cluster, postgres_database: str, tmp_path: Path) -> Database:
    return Database(postgres, postgres_database, Context(tmp_path, inputs={"ids": [2, 3]}))


TABLE = "create table t (id int, name text)"


def test_rows_are_fetched(database: Database) -> None:
    sql = "select * from (values (1, 'a'), (2, null)) as v(id, name)"
    both = {"rows": [{"id": 1, "name": "a"}, {"id": 2, "name": None}], "size": 2}
    assert database.task("Query", sql=sql, fetchType="FETCH") == both
    assert database.task("Query", sql=sql, fetch=True) == both
    assert database.task("Query", sql=sql, fetchOne=True) == {"row": both["rows"][0], "size": 1}
    assert database.task("Query", sql=sql) == {}
    empty = database.task("Query", sql=f"{sql} where false", fetchType="FETCH_ONE")
    assert empty == {"row": None, "size": 0}


def test_rows_are_stored_one_a_line(database: Database) -> None:
    sql = "select i as id from generate_series(1, 2500) as i"
    outputs = database.task("Query", sql=sql, store=True)
    assert outputs["size"] == 2500
    assert database.stored(outputs["uri"])[-1] == {"id": 2500}
    nothing = database.task("Query", sql="select 1 where false", fetchType="STORE")
    assert nothing["size"] == 0
    assert database.stored(nothing["uri"]) == []


def test_cells_are_plain_data(database: Database) -> None:
    sql = """
      select true as b, 1::bigint as i, 1.5::float8 as f, 12.34::numeric as n,
        12345678901234567890.123456789::numeric as big, date '2024-01-02' as d,
        time '03:04:05' as t,
        timestamp '2024-01-02 03:04:05' as ts, timestamptz '2024-01-02 03:04:05+01' as tz,
        '6a2f41a3-c54c-fce8-32d2-0324e1c32e22'::uuid as u, array[1, 2] as a,
        '{"x": [1]}'::jsonb as j,
        interval '90 minutes' as iv, 'abc'::bytea as raw, '10.0.0.1'::inet as ip, null as nothing
    """
    assert database.task("Query", sql=sql, fetchType="FETCH_ONE")["row"] == {
        "b": True, "i": 1, "f": 1.5, "n": 12.34, "big": "12345678901234567890.123456789",
        "d": "2024-01-02", "t": "03:04:05", "ts": "2024-01-02T03:04:05Z",
        "tz": "2024-01-02T02:04:05Z",
        "u": "6a2f41a3-c54c-fce8-32d2-0324e1c32e22", "a": [1, 2], "j": {"x": [1]},
        "iv": "PT1H30M", "raw": "YWJj", "ip": "10.0.0.1", "nothing": None,
    }  # fmt: skip
    zoned = database.task(
        "Query",
        sql="select timestamptz '2024-07-01 00:00:00+00' as z",
        fetchOne=True,
        timeZoneId="Europe/Paris",
    )
    assert zoned["row"] == {"z": "2024-07-01T02:00:00+02:00"}


def test_named_parameters_are_values_not_text(database: Database) -> None:
    outputs = database.task(
        "Query",
        sql="select :name as name, '100%' as p, :ids::int[] as ids",
        fetchType="FETCH_ONE",
        parameters={"name": "it's; --", "ids": "{{ inputs.ids }}"},
    )
    assert outputs["row"] == {"name": "it's; --", "p": "100%", "ids": [2, 3]}


def test_of_several_statements_the_last_result_counts(database: Database) -> None:
    sql = f"{TABLE}; insert into t values (1, 'a;b'); select name from t;"
    assert database.task("Query", sql=sql, fetchType="FETCH_ONE")["row"] == {"name": "a;b"}
    assert database.rows("select count(*) from t") == [(1,)]


def test_what_a_transaction_refuses_runs_outside_of_one(database: Database) -> None:
    database.task("Query", sql=f"{TABLE}; vacuum t")


def test_the_statement_after_is_in_the_same_transaction(database: Database) -> None:
    database.task("Query", sql=f"{TABLE}; insert into t values (1, 'new')")
    with pytest.raises(TaskFailed, match="nothing"):
        database.task("Query", sql="delete from t", afterSQL="update nothing set x = 1")
    assert database.rows("select * from t") == [(1, "new")]
    database.task("Query", sql="select * from t", fetch=True, afterSQL="update t set name = 'old'")
    assert database.rows("select name from t") == [("old",)]


def test_queries_give_one_output_for_each_statement_with_rows(database: Database) -> None:
    sql = f"{TABLE}; insert into t values (1, 'a'); select id from t; select name from t"
    assert database.task("Queries", sql=sql, fetchType="FETCH") == {
        "outputs": [{"rows": [{"id": 1}], "size": 1}, {"rows": [{"name": "a"}], "size": 1}]
    }


def test_a_failed_transaction_leaves_nothing(database: Database) -> None:
    database.task("Query", sql=TABLE)
    sql = "insert into t values (1, 'a'); select 1/0"
    with pytest.raises(TaskFailed, match="division by zero"):
        database.task("Queries", sql=sql)
    assert database.rows("select * from t") == []
    with pytest.raises(TaskFailed, match="division by zero"):
        database.task("Queries", sql=sql, transaction=False)
    assert database.rows("select * from t") == [(1, "a")]


def test_a_file_is_copied_in_and_out(database: Database) -> None:
    database.task("Query", sql="create table t (VendorID int, note text, day date)")
    uri = database.ctx.storage.put_bytes(
        "kestra:///x/in.csv", b'VendorID,note,day\n1,"a,b",2024-01-01\n2,-,"-"\n'
    )
    csv = {"format": "CSV", "header": True, "table": "t"}
    copied = database.task(
        "CopyIn", **{"from": uri}, columns=["VendorID", "note", "day"], nullString="-", **csv,
        forceNull=["day"],
    )  # fmt: skip
    assert copied == {"rowCount": 2}
    assert database.rows("select note from t order by vendorid") == [("a,b",), (None,)]
    out = database.task("CopyOut", sql="select vendorid, note from t order by 1;", format="CSV")
    assert out["rowCount"] == 2
    assert database.ctx.storage.read_bytes(out["uri"]) == b'1,"a,b"\n2,\n'
    whole = database.task("CopyOut", format="CSV", header=True, delimiter=";", table="t")
    assert database.ctx.storage.read_bytes(whole["uri"]).startswith(b"vendorid;note;day\n")


def test_a_broken_file_is_refused_as_a_whole(database: Database) -> None:
    database.task("Query", sql=TABLE)
    uri = database.ctx.storage.put_bytes("kestra:///x/in.csv", b"1,a\nx,b\n")
    with pytest.raises(TaskFailed, match="invalid input syntax for type integer"):
        database.task("CopyIn", **{"from": uri}, table="t", format="CSV")
    assert database.rows("select * from t") == []
    with pytest.raises(TaskFailed, match="File not found"):
        database.task("CopyIn", **{"from": "kestra:///nothing"}, table="t")


def test_items_are_written_in_chunks(database: Database) -> None:
    database.task("Query", sql="create table t (id int primary key, data jsonb, at timestamptz)")
    items = [{"id": n, "data": {"n": n}, "at": "2024-01-01T00:00:00Z"} for n in range(7)]
    lines = b"".join(json.dumps(item).encode() + b"\n" for item in items)
    uri = database.ctx.storage.put_bytes("kestra:///x/items.ion", lines)
    written = database.task("Batch", **{"from": uri}, table="t", chunk=3)
    assert written == {"rowCount": 7, "updatedCount": 7}
    assert database.rows("select data->>'n' from t where id = 6") == [("6",)]
    updated = database.task(
        "Batch", **{"from": uri}, sql="update t set data = ? where id = ?", columns=["data", "id"]
    )  # fmt: skip
    assert updated["updatedCount"] == 7


def test_a_cancelled_statement_ends_on_the_server(database: Database) -> None:
    ended: list[BaseException] = []

    def long() -> None:
        try:
            database.task("Query", sql="select pg_sleep(60)")
        except (TaskFailed, Cancelled) as error:
            ended.append(error)

    thread = threading.Thread(target=long)
    thread.start()
    running = "select count(*) from pg_stat_activity where query = 'select pg_sleep(60)'"
    deadline = threading.Event()
    for _ in range(500):
        if database.rows(running) == [(1,)]:
            break
        deadline.wait(0.01)
    else:
        pytest.fail("the statement was never seen on the server")
    database.ctx.stops[0]()
    thread.join(20)
    assert [type(error) for error in ended] == [Cancelled]


def test_a_refused_connection_is_named_without_the_password(database: Database) -> None:
    with pytest.raises(TaskFailed, match=r"Cannot connect to 127\.0\.0\.1:1/x") as failed:
        database.task("Query", url="jdbc:postgresql://127.0.0.1:1/x", password="hidden", sql="x")
    assert "hidden" not in str(failed.value)


def test_a_wrong_statement_is_shown(database: Database) -> None:
    with pytest.raises(TaskFailed, match=r'relation "nothing" does not exist\nLINE 1'):
        database.task("Query", sql="select * from nothing")
    with pytest.raises(TaskFailed, match="`sql` holds no statement"):
        database.task("Query", sql=" ; ")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("jdbc:postgresql://db:6543/my", {"host": "db", "port": "6543", "dbname": "my"}),
        ("jdbc:postgresql://db/", {"host": "db", "port": "5432"}),
        ("jdbc:postgresql:my", {"host": "localhost", "port": "5432", "dbname": "my"}),
        ("jdbc:postgresql://a,b:1/my", {"host": "a,b", "port": "5432,1", "dbname": "my"}),
        ("jdbc:postgresql://[::1]:1/a%20b", {"host": "::1", "port": "1", "dbname": "a b"}),
        (
            "jdbc:postgresql://db/my?user=u&password=p%26&sslmode=require&currentSchema=s",
            {"host": "db", "port": "5432", "dbname": "my", "user": "u", "password": "p&",
             "sslmode": "require", "options": "-c search_path=s"},
        ),
        (
            "jdbc:postgresql://db/my?ssl=true&connectTimeout=3&ApplicationName=x&prepareThreshold=0",
            {"host": "db", "port": "5432", "dbname": "my", "sslmode": "verify-full",
             "connect_timeout": "3", "application_name": "x"},
        ),
    ],
)  # fmt: skip
def test_jdbc_addresses(url: str, expected: dict[str, str]) -> None:
    assert parameters_of(url) == {"connect_timeout": "10", **expected}


def test_another_address_is_refused() -> None:
    with pytest.raises(TaskFailed, match="must look like jdbc:postgresql://"):
        parameters_of("postgresql://user:hidden@db/my")


@pytest.mark.parametrize("how", ["NONE", "FETCH", "FETCH_ONE", "STORE"])
def test_a_trigger_finds_rows_and_marks_them_once_they_were_taken(
    database: Database, how: str
) -> None:
    database.task("Queries", sql=f"{TABLE}; insert into t values (1, null), (2, 'done')")
    given = {
        "url": database.url,
        "username": "postgres",
        "password": "any",
        "sql": "select * from t where name is null order by id",
        "afterSQL": "update t set name = 'done'",
        "fetchType": how,
    }
    cls = REGISTRY.load(PLUGIN + "Trigger")
    trigger: Any = bind(cls, given, Templates({}))
    for _ in range(2):
        found = trigger.run(database.ctx)["found"]
        assert found["size"] == 1
    if how == "STORE":
        assert database.stored(found["uri"]) == [{"id": 1, "name": None}]
    hear(trigger, database.ctx, {"is": "taken", "found": found})
    assert database.rows("select name from t") == [("done",), ("done",)]
    assert trigger.run(database.ctx) == {"found": None}
    hear(trigger, database.ctx, {"is": "dropped", "found": found})
    assert list(database.ctx.storage.walk("kestra:///company")) == []
