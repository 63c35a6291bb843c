"""The tasks on SQLite databases."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest
from tests.tasks.context import Context, run

from penstock_runner.tasks.api import TaskFailed

PLUGIN = "io.kestra.plugin.jdbc.sqlite."


@pytest.fixture
def ctx(tmp_path: Path) -> Context:
    return Context(tmp_path)


def test_a_database_in_memory_is_asked(ctx: Context) -> None:
    sql = "create table t (a int, b text); insert into t values (1, ':x;'); select * from t"
    outputs = run(ctx, f"{PLUGIN}Query", url="jdbc:sqlite:", sql=sql, fetchType="FETCH")
    assert outputs == {"rows": [{"a": 1, "b": ":x;"}], "size": 1}
    named = run(ctx, f"{PLUGIN}Query", sql="select :a as a", fetchOne=True, parameters={"a": 5})
    assert named["row"] == {"a": 5}


def test_a_stored_database_is_changed_and_kept(ctx: Context, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "my.db") as connection:
        connection.execute("create table t (a int)")
    connection.close()
    uri = ctx.storage.put_file("kestra:///x/my.db", tmp_path / "my.db")
    sql = "insert into t values (1); insert into t values (2); select a from t order by a"
    outputs = run(ctx, f"{PLUGIN}Queries", sql=sql, sqliteFile=uri, outputDbFile=True, store=True)
    [result] = outputs["outputs"]
    lines = ctx.storage.read_bytes(result["uri"]).splitlines()
    assert [json.loads(line) for line in lines] == [{"a": 1}, {"a": 2}]
    again = run(ctx, f"{PLUGIN}Query", sql="select count(*) as n from t",
                sqliteFile=outputs["databaseUri"], fetchOne=True)  # fmt: skip
    assert again["row"] == {"n": 2}


def test_a_failed_transaction_leaves_nothing(ctx: Context) -> None:
    url = "jdbc:sqlite:mine.db"
    run(ctx, f"{PLUGIN}Query", url=url, sql="create table t (a int primary key)")
    sql = "insert into t values (1); insert into t values (1)"
    with pytest.raises(TaskFailed, match="UNIQUE constraint failed"):
        run(ctx, f"{PLUGIN}Queries", url=url, sql=sql)
    count = run(ctx, f"{PLUGIN}Query", url=url, sql="select count(*) as n from t", fetchOne=True)
    assert count["row"] == {"n": 0}


def test_other_files_of_the_machine_are_out_of_reach(ctx: Context) -> None:
    for name in ("/etc/passwd", "../../other.db"):
        with pytest.raises(TaskFailed, match="outside of the working directory"):
            run(ctx, f"{PLUGIN}Query", url=f"jdbc:sqlite:{name}", sql="select 1")
    for sql in ("attach 'other.db' as o", "vacuum into '/tmp/other.db'"):
        with pytest.raises(TaskFailed, match="Only files of the working directory can be attached"):
            run(ctx, f"{PLUGIN}Query", sql=sql)
    own = ctx.workspace / "own.db"
    run(ctx, f"{PLUGIN}Query", sql=f"create table t (a int); vacuum; attach '{own}' as own")
    with pytest.raises(TaskFailed, match="File not found"):
        run(ctx, f"{PLUGIN}Query", sqliteFile="kestra:///gone", sql="select 1")
