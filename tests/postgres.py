"""A private PostgreSQL for tests: one cluster a session, a fresh database for whoever asks.

The cluster is a throw-away folder with a Unix socket and a free port on the loopback; it is stopped
at the end of the session. As root it runs as the user `postgres`, since the server refuses root.
"""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest

START_SECONDS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """A running server. All connections are trusted."""

    host: str
    port: int
    socket_folder: Path
    user: str = "postgres"
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1), repr=False)

    def conninfo(self, database: str = "postgres") -> str:
        """How libpq reaches a database."""
        return f"host={self.host} port={self.port} user={self.user} dbname={database}"

    def jdbc_url(self, database: str = "postgres") -> str:
        """How flows write the address of a database."""
        return f"jdbc:postgresql://{self.host}:{self.port}/{database}"

    def sqlalchemy_url(self, database: str = "postgres") -> str:
        """How SQLAlchemy writes the address of a database."""
        return f"postgresql+psycopg://{self.user}@{self.host}:{self.port}/{database}"

    def new_database(self) -> str:
        """The name of a new, empty database."""
        name = f"test_{os.getpid()}_{next(self._numbers)}"
        with psycopg.connect(self.conninfo(), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"'.encode())
        return name

    def drop_database(self, name: str) -> None:
        """Drop a database with everything that is connected to it."""
        with psycopg.connect(self.conninfo(), autocommit=True) as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'.encode())


def binaries() -> Path | None:
    """The folder of the newest installed server, None when there is none."""
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"),
        key=lambda path: float(path.parts[-3]),
    )
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    return Path(on_path).parent if on_path else None


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """A running PostgreSQL; skips where none is installed."""
    if binaries() is None:
        pytest.skip("PostgreSQL is not installed: there is no initdb")
    with running() as cluster:
        yield cluster


@contextmanager
def running(address: str = "127.0.0.1", port: int | None = None) -> Iterator[Cluster]:
    """A PostgreSQL of one's own, where one is installed (`binaries`); a free port by default."""
    folder = binaries()
    if folder is None:
        raise FileNotFoundError("PostgreSQL is not installed: there is no initdb")
    account = pwd.getpwnam("postgres") if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="pg-", dir="/tmp") as name:
        top = Path(name)
        if account is not None:
            os.chown(top, account.pw_uid, account.pw_gid)
        server = _Server(folder, top, account.pw_name if account is not None else None)
        server.make()
        found = server.start(address, port)
        try:
            yield Cluster(host=address, port=found, socket_folder=top)
        finally:
            server.stop()


@pytest.fixture
def postgres_database(postgres: Cluster) -> Iterator[str]:
    """The name of a fresh database of the cluster."""
    name = postgres.new_database()
    yield name
    postgres.drop_database(name)


class _Server:
    """Makes, starts and stops a cluster in a folder."""

    def __init__(self, binaries_folder: Path, top: Path, user: str | None) -> None:
        self._binaries = binaries_folder
        self._top = top
        self._data = top / "data"
        self._user = user

    def make(self) -> None:
        self._run("initdb", "-D", self._data, "-U", "postgres", "-A", "trust", "-E", "UTF8",
                  "--locale=C", "--no-sync")  # fmt: skip

    def start(self, address: str, wanted: int | None) -> int:
        for _ in range(5):
            port = wanted or _free_port()
            settings = (
                f"-c listen_addresses={address} -c port={port} "
                f"-c unix_socket_directories={self._top} -c fsync=on -c max_connections=100"
            )
            try:
                self._run("pg_ctl", "-D", self._data, "-l", self._top / "log", "-w",
                          "-t", START_SECONDS, "-o", settings, "start")  # fmt: skip
            except subprocess.CalledProcessError:
                continue
            return port
        raise AssertionError(f"PostgreSQL did not start: {(self._top / 'log').read_text()}")

    def stop(self) -> None:
        self._run("pg_ctl", "-D", self._data, "-m", "immediate", "-w", "stop")

    def _run(self, program: str, *arguments: object) -> None:
        subprocess.run(
            [str(self._binaries / program), *map(str, arguments)],
            user=self._user,
            cwd=self._top,
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=START_SECONDS * 2,
        )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
