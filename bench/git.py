"""Figures of Git sync: a first sync, a poll that finds nothing, one changed file, and what a sync
does to executions beside it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench import flows, load, repository
from bench.client import API, Api, Wrong, start_path
from bench.records import Record, record
from bench.service import Service, home, service, tree
from bench.settings import Bench

FILES, COMMITS = 5_000, 2_000
FEW_FILES, FEW_COMMITS = 60, 120
CONFIG = """\
git:
  sources:
    - {{id: main, url: "{url}", interval: PT24H, timeout: PT5M}}
"""
POLLS = 30
TICKS = os.sysconf("SC_CLK_TCK")


def first(bench: Bench) -> list[Record]:
    """From a service with no flow to all flows of a large repository: seconds, and memory."""
    seconds, peaks = [], []
    with _large(bench) as (large, url):
        for n in range(bench.repetitions(3)):
            bench.say(f"first sync of {large.files} files ({n + 1} of {bench.repetitions(3)})")
            with home() as folder:
                _configure(folder, url)
                with service(folder) as running, Api(running.port) as api, _peak(running) as seen:
                    began = time.perf_counter()
                    _wait_for(api, large, None)
                    seconds.append(running.seconds + time.perf_counter() - began)
                    _check(api, large)
                peaks.append(max(seen))
    what = f"first sync of {large.files:,} files"
    return [
        record(
            what, "s", seconds, aim=10, notes="over smart HTTP, the start of the service included"
        ),
        record(f"memory of all processes at the peak, {what}", "MB", peaks, aim=250),
    ]


def poll(bench: Bench) -> list[Record]:
    """What a look that finds nothing new costs: CPU of core and of the side of the network."""
    with _large(bench) as (large, url), home() as folder:
        _configure(folder, url)
        with service(folder) as running, Api(running.port) as api:
            _wait_for(api, large, None)
            spent, took = [], []
            count = bench.count(POLLS, 3)
            for n in range(bench.repetitions()):
                bench.say(f"{count} polls with nothing new ({n + 1} of {bench.repetitions()})")
                before, began = _cpu(running), time.perf_counter()
                for _ in range(count):
                    _sync(api, "noop")
                took.append((time.perf_counter() - began) * 1000 / count)
                spent.append((_cpu(running) - before) * 1000 / count)
    return [
        record("CPU of a poll with nothing new", "ms", spent, aim=50, notes="core and git"),
        record("a poll with nothing new, asked for over HTTP", "ms", took),
    ]


def one_file(bench: Bench) -> list[Record]:
    """From a look to the new revision being live, for a commit that changes one file of many."""
    values = []
    with _large(bench) as (large, url), home() as folder:
        _configure(folder, url)
        with service(folder) as running, Api(running.port) as api:
            _wait_for(api, large, None)
            for n in range(bench.repetitions(7)):
                bench.say(f"a commit of one file ({n + 1} of {bench.repetitions(7)})")
                sha = large.add(n)
                began = time.perf_counter()
                _sync(api, "succeeded", sha)
                values.append((time.perf_counter() - began) * 1000)
                path = f"{API}/flows/bench.team{n // 10}/flow{n}"
                if api.call("GET", path)["revision"] != 2:
                    raise Wrong(f"flow{n} has no second revision after its commit")
    what = f"a commit of one file of {large.files:,} is live after the look"
    return [record(what, "ms", values, aim=1000)]


def beside(bench: Bench) -> list[Record]:
    """How long executions take that run while a first sync is read and applied."""
    with _large(bench) as (large, url), home() as folder:
        with service(folder) as running, Api(running.port) as api:
            api.add(flows.ONE)
            alone = max(_waits(running, 100)) * 1000
        _configure(folder, url)
        with service(folder) as running, Api(running.port) as api:
            waits: list[float] = []
            done = threading.Event()

            def execute() -> None:
                while not done.is_set():
                    waits.extend(_waits(running, 20))

            working = threading.Thread(target=execute, daemon=True)
            working.start()
            try:
                _wait_for(api, large, None)
            finally:
                done.set()
                working.join(30)
    return [
        record(
            "longest execution of one task beside a first sync",
            "ms",
            [max(waits) * 1000],
            aim=alone + 200,
            notes=f"{len(waits)} executions; the longest alone took {alone:.0f} ms",
        )
    ]


@contextmanager
def _large(bench: Bench) -> Iterator[tuple[repository.Large, str]]:
    files, commits = bench.count(FILES, FEW_FILES), bench.count(COMMITS, FEW_COMMITS)
    bench.say(f"making a repository of {files} files and {commits} commits")
    with home() as folder, repository.served(folder, files, commits) as made:
        yield made


def _configure(folder: Path, url: str) -> None:
    (folder / "penstock.yaml").write_text(CONFIG.format(url=url))


def _wait_for(api: Api, large: repository.Large, sha: str | None) -> None:
    until = time.perf_counter() + 120
    while time.perf_counter() < until:
        # A source has a row once it has been looked at.
        found = api.call("GET", "/api/v1/git/sources")
        source = found[0] if found else {}
        applied = source.get("appliedCommit")
        if applied and (sha is None or applied == sha):
            return
        if source.get("status") == "Degraded":
            raise Wrong(f"the sync failed: {source.get('conditions')}")
        time.sleep(0.02)
    raise Wrong(f"{large.files} files were not applied within two minutes")


def _check(api: Api, large: repository.Large) -> None:
    total = api.call("GET", f"{API}/flows/search?namespace=bench&size=1")["total"]
    if total != large.files:
        raise Wrong(f"{total} flows are stored, not {large.files}")


def _sync(api: Api, phase: str, sha: str | None = None) -> None:
    answer: dict[str, Any] = api.call(
        "POST", "/api/v1/git/sources/main/sync", '{"wait": true}', "application/json"
    )
    if answer["phase"] != phase or (sha is not None and answer["commit"] != sha):
        raise Wrong(f"a sync ended as {answer}, not {phase} {sha}")


def _waits(running: Service, count: int) -> list[float]:
    path = start_path("one") + "?wait=true"
    orders = load.spread(running.port, path, count=count, connections=1, processes=1)
    return list(load.generate(orders).latencies)


def _cpu(running: Service) -> float:
    """Seconds of CPU that core and git have used, their ended children included."""
    total = 0
    for pid in tree(running.pid):
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            continue
        name, rest = stat[stat.index("(") + 1 :].rsplit(")", 1)
        if name in ("penstock-core", "penstock-git"):
            total += sum(map(int, rest.split()[11:15]))
    return total / TICKS


@contextmanager
def _peak(running: Service) -> Iterator[list[float]]:
    """Looks at the service's memory ten times a second."""
    seen = [running.memory()]
    done = threading.Event()

    def look() -> None:
        while not done.wait(0.1):
            seen.append(running.memory())

    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    try:
        yield seen
    finally:
        done.set()
        looking.join(10)
