"""Stores for the tests of this folder: each test gets empty ones, on SQLite and on PostgreSQL."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from tests.postgres import Cluster, postgres

from penstock_server.store import migrations
from penstock_server.store.engine import Database, open_store

__all__ = ["postgres"]


@pytest.fixture(scope="session")
def postgres_store(postgres: Cluster) -> Callable[[], str]:
    """Makes empty stores in PostgreSQL, and gives their URLs."""
    numbers = itertools.count(1)

    def run(statement: str) -> None:
        with psycopg.connect(postgres.conninfo(), autocommit=True) as connection:
            connection.execute(statement)

    def url(name: str) -> str:
        return f"postgresql://{postgres.user}@{postgres.host}:{postgres.port}/{name}"

    # Most databases do not sort by bytes.
    run("CREATE DATABASE stores TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en-US'")
    opened = open_store(url("stores"))
    migrations.upgrade(opened)
    opened.close()

    def make() -> str:
        name = f"store{next(numbers)}"
        run(f"CREATE DATABASE {name} TEMPLATE stores")
        return url(name)

    return make


@pytest.fixture(
    params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)],
)
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty store with the schema."""
    if request.param == "postgresql":
        make: Callable[[], str] = request.getfixturevalue("postgres_store")
        return make()
    url = f"sqlite:///{tmp_path}/penstock.db"
    opened = open_store(url)
    migrations.upgrade(opened)
    opened.close()
    return url


@pytest.fixture
def database(store_url: str) -> Iterator[Database]:
    """An open, empty store."""
    opened = open_store(store_url)
    yield opened
    opened.close()
