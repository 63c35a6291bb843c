"""Stores for the tests of this folder: each test gets empty ones, on SQLite and on PostgreSQL."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from penstock_server.store import migrations
from penstock_server.store.engine import Database, open_store

BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))


@pytest.fixture(scope="session")
def postgres() -> Iterator[Callable[[], str]]:
    """Makes databases with the schema in a private cluster, and gives their URLs."""
    cluster = _Cluster()
    try:
        cluster.start()
        numbers = itertools.count(1)
        template = cluster.create("template_penstock")
        opened = open_store(template)
        migrations.upgrade(opened)
        opened.close()
        yield lambda: cluster.create(f"test{next(numbers)}", template="template_penstock")
    finally:
        cluster.stop()


@pytest.fixture(
    params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)],
)
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty store with the schema."""
    if request.param == "postgresql":
        make: Callable[[], str] = request.getfixturevalue("postgres")
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


class _Cluster:
    """A PostgreSQL server of this test run: a socket in a folder, no port, no password."""

    def __init__(self) -> None:
        found = shutil.which("pg_ctl")
        self._bin = BINARIES[-1] if BINARIES else Path(found).parent if found else None
        self._home = Path(tempfile.mkdtemp(prefix="penstock-pg-"))
        # The server refuses to run as root.
        self._user = "postgres" if os.getuid() == 0 else None
        self._running = False

    def start(self) -> None:
        if self._bin is None or not (self._bin / "initdb").exists():
            pytest.skip("PostgreSQL is not installed on this machine")
        if self._user is not None:
            try:
                owner = pwd.getpwnam(self._user)
            except KeyError:
                pytest.skip("there is no user to run PostgreSQL as")
            os.chown(self._home, owner.pw_uid, owner.pw_gid)
        data = str(self._home / "data")
        self._run("initdb", "-D", data, "-U", "penstock", "-A", "trust", "-E", "UTF8", "--no-sync")
        settings = f"-k {self._home} -c listen_addresses= -c fsync=off -c max_connections=60"
        self._run("pg_ctl", "-D", data, "-w", "-l", f"{self._home}/log", "-o", settings, "start")
        self._running = True

    def create(self, name: str, *, template: str = "template1") -> str:
        where = f"host={self._home} user=penstock dbname=postgres"
        with psycopg.connect(where, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return f"postgresql://penstock@/{name}?host={self._home}"

    def stop(self) -> None:
        if self._running:
            self._run("pg_ctl", "-D", str(self._home / "data"), "-m", "immediate", "stop")
        shutil.rmtree(self._home, ignore_errors=True)

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [f"{self._bin}/{program}", *arguments],
            user=self._user,
            cwd=self._home,
            env={"LC_ALL": "C.UTF-8", "PATH": os.environ["PATH"]},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
        if done.returncode != 0:
            pytest.fail(f"{program} failed: {done.stderr}")
