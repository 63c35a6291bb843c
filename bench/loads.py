"""Figure 9: webhooks under load, wide loops, and what one run does to another."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from bench import flows, load, raw
from bench.client import Api, Json, check_all, check_runs, hook_path, start_path
from bench.records import Record, percentile, record
from bench.service import Service, fresh
from bench.settings import Bench

SECONDS = 20.0
CONNECTIONS = 24


def webhooks_postgres(bench: Bench) -> list[Record]:
    """A flow of two core tasks called by webhook, answered with its end, on PostgreSQL."""
    return _webhooks(bench, "postgresql", bench.postgres_url(), rate=800)


def webhooks_sqlite(bench: Bench) -> list[Record]:
    """The same on SQLite."""
    return _webhooks(bench, "sqlite", None, rate=1_000)


def wide_loops(bench: Bench) -> list[Record]:
    """A ForEach of 1,000 and of 10,000 core tasks in one run, and what memory it takes."""
    made: list[Record] = []
    for size in (1_000, 10_000):
        count = bench.count(size, size // 100)
        with fresh() as service, Api(service.port) as api:
            api.add(flows.each(count))
            expected = [("loop", None), *(("item", f"value {n}") for n in range(1, count + 1))]
            before = service.memory()
            with _peak(service) as memory:
                values = _rates(bench, api, f"each{count}", expected, 5 if size < 5_000 else 3)
            rates = record(
                f"ForEach of {count:,} core tasks",
                "tasks/s",
                values,
                raw=raw.commits(bench, "sqlite"),
            )
            peak = record(
                f"memory while it runs, ForEach of {count:,}",
                "MB",
                [max(memory)],
                notes=f"{before:.0f} MB before",
            )
            made.extend((rates, peak))
    return made


def fan_out(bench: Bench) -> list[Record]:
    """Different core tasks at once, in one Parallel."""
    count = bench.count(500, 20)
    with fresh() as service, Api(service.port) as api:
        api.add(flows.fan(count))
        expected = [("all", None), *((f"branch{n}", f"branch {n} of fan") for n in range(count))]
        values = _rates(bench, api, "fan", expected, 5)
    return [record(f"Parallel of {count:,} core tasks", "tasks/s", values)]


def beside_a_loop(bench: Bench) -> list[Record]:
    """How long a flow of one task takes while a ForEach of 10,000 runs."""
    count = bench.count(10_000, 200)
    alone, beside = [], []
    with fresh() as service, Api(service.port) as api:
        api.add(flows.ONE)
        api.add(flows.each(count))
        for n in range(bench.repetitions(3)):
            bench.say(f"one task beside {count} ({n + 1} of {bench.repetitions(3)})")
            alone.append(_p99(service, bench.count(200, 20)))
            execution_id = api.start(f"each{count}")["id"]
            waits: list[float] = []
            while api.ended(f"each{count}") <= n:
                waits.extend(_waits(service, 20))
            beside.append(percentile(waits, 0.99) * 1000)
            execution = api.execution(execution_id)
            wanted = [("loop", None), *(("item", f"value {k}") for k in range(1, count + 1))]
            check_runs(execution, wanted)
        ids = [one["id"] for one in api.executions("one")]
        check_all(api, "one", ids, lambda _: [("say", None)], lambda e: [f"run {e['id']}"])
    return [
        record("run of one task alone, p99", "ms", alone),
        record(f"run of one task beside a ForEach of {count:,}, p99", "ms", beside),
    ]


def _webhooks(bench: Bench, kind: str, url: str | None, *, rate: float) -> list[Record]:
    seconds = SECONDS if not bench.quick else 1.0
    path = hook_path("hooked", flows.HOOK_KEY)
    rates, p50, p99 = [], [], []
    with fresh(url) as service, Api(service.port) as api:
        api.add(flows.HOOKED)
        ids: list[str] = []
        for n in range(bench.repetitions(3) + 1):
            bench.say(f"webhooks on {kind} for {seconds:g} s ({n} of {bench.repetitions(3)})")
            answered = load.generate(
                load.spread(
                    service.port,
                    path,
                    body='{"n": {n}}',
                    seconds=seconds if n else min(seconds, 2.0),
                    connections=CONNECTIONS,
                )
            )
            ids.extend(answered.ids)
            if n:
                rates.append(len(answered.ids) / (answered.ended - answered.begun))
                p50.append(percentile(answered.latencies, 0.5) * 1000)
                p99.append(percentile(answered.latencies, 0.99) * 1000)
        bench.say("reading back what ran")
        check_all(api, "hooked", ids, _greeted, _said)
    beside = raw.commits(bench, kind)
    name = "PostgreSQL" if kind == "postgresql" else "SQLite"
    notes = f"{CONNECTIONS} connections, each asking again once its run has ended"
    return [
        record(f"webhook runs, {name}", "runs/s", rates, aim=rate, raw=beside, notes=notes),
        record(f"webhook to the run's end, {name}, p50", "ms", p50, aim=30),
        record(f"webhook to the run's end, {name}, p99", "ms", p99, aim=150),
    ]


def _greeted(execution: Json) -> list[tuple[str, str | None]]:
    return [("greet", _greeting(execution)), ("say", None)]


def _said(execution: Json) -> list[str]:
    return [_greeting(execution)] * 2


def _greeting(execution: Json) -> str:
    return f"hello {execution['trigger']['variables']['body']['n']}"


def _rates(
    bench: Bench, api: Api, flow_id: str, expected: list[tuple[str, str | None]], runs: int
) -> list[float]:
    values = []
    for n in range(bench.repetitions(runs)):
        bench.say(f"{flow_id} ({n + 1} of {bench.repetitions(runs)})")
        begun = time.perf_counter()
        started = api.start(flow_id)
        api.wait_for(flow_id, n + 1)
        values.append(len(expected) / (time.perf_counter() - begun))
        check_runs(api.execution(started["id"]), expected)
    return values


def _p99(service: Service, count: int) -> float:
    return percentile(_waits(service, count), 0.99) * 1000


def _waits(service: Service, count: int) -> list[float]:
    path = start_path("one") + "?wait=true"
    orders = load.spread(service.port, path, count=count, connections=2, processes=1)
    return list(load.generate(orders).latencies)


@contextmanager
def _peak(service: Service) -> Iterator[list[float]]:
    """Looks at the service's memory twice a second."""
    seen = [service.memory()]
    done = threading.Event()

    def look() -> None:
        while not done.wait(0.5):
            seen.append(service.memory())

    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    try:
        yield seen
    finally:
        done.set()
        looking.join(10)
        seen.append(service.memory())
