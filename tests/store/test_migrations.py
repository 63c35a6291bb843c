"""The schema: made at once or step by step it is the same, and no newer one is touched."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, inspect

from penstock_server.store import migrations
from penstock_server.store.engine import Database, StoreUnavailable, open_store
from penstock_server.store.schema import metadata


@pytest.fixture
def empty(request: pytest.FixtureRequest, store_url: str, tmp_path: Path) -> Iterator[Database]:
    """A store without tables."""
    if store_url.startswith("sqlite"):
        store_url = f"sqlite:///{tmp_path}/new/penstock.db"
    opened = open_store(store_url)
    if opened.kind != "sqlite":
        with opened.begin() as tx:
            tx.connection.exec_driver_sql("DROP SCHEMA public CASCADE")
            tx.connection.exec_driver_sql("CREATE SCHEMA public")
    yield opened
    opened.close()


def described(connection: Connection) -> dict[str, object]:
    """All that a database says of its tables."""
    if connection.dialect.name == "sqlite":
        made = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master")
        return {name: "".join((sql or "").split()) for name, sql in made}
    seen = inspect(connection)
    return {
        table: (
            [{**column, "type": repr(column["type"])} for column in seen.get_columns(table)],
            seen.get_pk_constraint(table),
            sorted(index_text(index) for index in seen.get_indexes(table)),
            seen.get_table_options(table),
        )
        for table in sorted(seen.get_table_names())
    }


def index_text(index: Mapping[str, Any]) -> str:
    options = {name: str(value) for name, value in index.get("dialect_options", {}).items()}
    return repr({**index, "dialect_options": options})


def test_a_new_store_has_the_schema_that_the_steps_make(
    database: Database, empty: Database
) -> None:
    with empty.begin() as tx:
        migrations.run_steps(tx.connection)
    assert migrations.current(empty) == migrations.current(database) == migrations.HEAD
    with empty.read() as stepped, database.read() as created:
        assert described(stepped) == described(created)


def test_the_steps_make_what_the_tables_say(empty: Database) -> None:
    with empty.begin() as tx:
        migrations.run_steps(tx.connection)
        found = MigrationContext.configure(tx.connection, opts={"compare_type": True})
        assert compare_metadata(found, metadata) == []


def test_the_last_step_is_the_head() -> None:
    assert migrations.steps()[-1] == migrations.HEAD


def test_an_upgrade_of_a_current_store_changes_nothing(empty: Database) -> None:
    assert migrations.current(empty) is None
    migrations.upgrade(empty)
    migrations.upgrade(empty)
    assert migrations.current(empty) == migrations.HEAD


def test_a_store_of_a_newer_program_is_left_alone(database: Database) -> None:
    with database.begin() as tx:
        tx.connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreUnavailable, match=r"made by a newer penstock .*9999"):
        migrations.upgrade(database)
    assert migrations.current(database) == "9999"


def test_a_current_store_opens_without_alembic(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from penstock_server.store import migrations\n"
        "from penstock_server.store.engine import open_store\n"
        f"opened = open_store('sqlite:///{tmp_path}/penstock.db')\n"
        "migrations.upgrade(opened)\n"
        "migrations.upgrade(opened)\n"
        "opened.close()\n"
        "print([name for name in ('alembic', 'psycopg') if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")
