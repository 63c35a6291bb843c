"""What the machine does with nothing of ours: the limits that stand beside the figures."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import psycopg

from bench.records import Raw, Record, record
from bench.service import free_port, home
from bench.settings import Bench

LIBRARIES = "import flask, gunicorn.workers.gthread, jinja2, orjson, pydantic, sqlalchemy, yaml"
SECONDS = 1.5
ECHO = """
import socketserver, sys
class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        while self.rfile.readline() not in (b"",):
            while self.rfile.readline() not in (b"", b"\\r\\n"): pass
            self.wfile.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\n{}")
socketserver.ThreadingTCPServer.request_queue_size = 200
socketserver.ThreadingTCPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def commits(bench: Bench, kind: str) -> Raw:
    """Durable commits of one row a second."""
    measure = sqlite_commits if kind == "sqlite" else postgres_commits
    label = "SQLite" if kind == "sqlite" else "PostgreSQL"
    name = f"durable commits, {label}"
    return bench.raw(name, lambda: Raw(name=name, value=measure(bench), unit="commits/s"))


def sqlite_commits(bench: Bench) -> float:
    """Commits a second of one row, with WAL and `synchronous=FULL`."""
    with home() as folder:
        store = sqlite3.connect(folder / "raw.db", isolation_level=None)
        try:
            store.execute("PRAGMA journal_mode=WAL")
            store.execute("PRAGMA synchronous=FULL")
            store.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, body TEXT)")
            return per_second(lambda: store.execute("INSERT INTO t (body) VALUES ('x')"), bench)
        finally:
            store.close()


def postgres_commits(bench: Bench) -> float:
    """Commits a second of one row, with `fsync` and `synchronous_commit=on`."""
    url = bench.postgres_url()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE t (id bigserial PRIMARY KEY, body text)")
        return per_second(lambda: connection.execute("INSERT INTO t (body) VALUES ('x')"), bench)


def processes(bench: Bench) -> Raw:
    """Processes a second that do nothing, one after the other."""
    return bench.raw(
        "subprocess.run(['true'])",
        lambda: Raw(
            name="subprocess.run(['true'])",
            value=per_second(lambda: subprocess.run(["true"], check=True, timeout=10), bench),
            unit="/s",
        ),
    )


def imports(bench: Bench) -> Raw:
    """Seconds until a bare Python has imported the libraries of a web service."""
    name = "bare Python with the libraries"
    return bench.raw(name, lambda: Raw(name=name, value=run_seconds("-c", LIBRARIES), unit="s"))


def python(bench: Bench) -> Raw:
    """Milliseconds until a Python has started and ended."""
    name = "bare Python"
    return bench.raw(
        name, lambda: Raw(name=name, value=run_seconds("-c", "pass") * 1000, unit="ms")
    )


def echo(bench: Bench, load: Callable[[int], float]) -> Raw:
    """Requests a second of the same load on a server that only answers."""
    name = "HTTP echo"

    def measure() -> Raw:
        port = free_port()
        server = subprocess.Popen([sys.executable, "-S", "-c", ECHO, str(port)])
        try:
            _wait_for(port)
            return Raw(name=name, value=load(port), unit="requests/s")
        finally:
            server.kill()
            server.wait(10)

    return bench.raw(name, measure)


def figures(bench: Bench) -> list[Record]:
    """The limits that are figures of their own."""
    made = [
        record(
            "durable commits of one row, SQLite",
            "commits/s",
            bench.repeated("SQLite commits", lambda: sqlite_commits(bench), 3),
        )
    ]
    made.append(
        record(
            "durable commits of one row, PostgreSQL",
            "commits/s",
            bench.repeated("PostgreSQL commits", lambda: postgres_commits(bench), 3),
        )
    )
    return made


def per_second(act: Callable[[], object], bench: Bench) -> float:
    """How often a second something can be done, one after the other."""
    for _ in range(20):
        act()
    seconds = SECONDS / 5 if bench.quick else SECONDS
    begun = time.perf_counter()
    done = 0
    while (passed := time.perf_counter() - begun) < seconds:
        act()
        done += 1
    return done / passed


def run_seconds(*arguments: str, times: int = 5, cwd: Path | None = None) -> float:
    """The median time of a Python process from its start to its end."""
    taken = []
    for _ in range(times):
        begun = time.perf_counter()
        subprocess.run(
            [sys.executable, *arguments],
            check=True,
            timeout=300,
            cwd=cwd,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        taken.append(time.perf_counter() - begun)
    return median(taken)


def _wait_for(port: int) -> None:
    import socket

    until = time.perf_counter() + 10
    while time.perf_counter() < until:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.01)
        else:
            return
    raise RuntimeError("the server that only answers did not start")
