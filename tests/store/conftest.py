"""Stores for the tests of this folder: each test gets empty ones, on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock_server.store import migrations
from penstock_server.store.engine import Database, open_store


@pytest.fixture(params=["sqlite"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    opened = open_store(f"sqlite:///{tmp_path}/penstock.db")
    migrations.upgrade(opened)
    yield opened
    opened.close()
