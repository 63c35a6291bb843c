"""Wide and deep loops, tasks at once, the kill of a loop, and what one run does to another."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from statistics import median

from bench import flows, load, raw
from bench.client import API, Api, Json, Wrong, check_all, check_runs, start_path
from bench.records import Raw, Record, percentile, record
from bench.runs import tasks_per_second
from bench.service import Service, fresh
from bench.settings import Bench
from penstock_runner.executor.step import INLINE_STEPS

KILL_SECONDS = 30.0


def wide_loops(bench: Bench) -> list[Record]:
    """A ForEach of 1,000 and of 10,000 core tasks in one run: seconds, and what memory it takes."""
    made: list[Record] = []
    a_task: dict[int, float] = {}
    for size, aim in ((1_000, 0.6), (10_000, 6.0)):
        count = bench.count(size, size // 100)
        with fresh() as service, Api(service.port) as api:
            api.add(flows.each(count))
            expected = [("loop", None), *(("item", f"value {n}") for n in range(1, count + 1))]
            before = service.memory()
            with _peak(service) as memory:
                seconds = _seconds(bench, api, f"each{count}", expected, 5 if size < 5_000 else 3)
        a_task[size] = median(seconds) / count
        made.append(_of_tasks(bench, f"ForEach of {count:,} core tasks", seconds, count, aim))
        what, notes = f"memory while it runs, ForEach of {count:,}", f"{before:.0f} MB before"
        made.append(record(what, "MB", [max(memory)], aim=300, notes=notes))
    times = a_task[10_000] / a_task[1_000]
    name = "a task of the longer ForEach, over one of the shorter"
    made.append(record(name, "times", [times], aim=1.1))
    return made


def nested_loops(bench: Bench) -> list[Record]:
    """A ForEach in a ForEach in a ForEach."""
    sizes = (bench.count(10, 2), bench.count(10, 2), bench.count(20, 3))
    first, second, third = (range(1, size + 1) for size in sizes)
    expected: list[tuple[str, str | None]] = [("first", None)]
    expected.extend(("second", None) for _ in first)
    expected.extend(("third", None) for _ in product(first, second))
    expected.extend(("item", f"{a}.{b}.{c}") for a, b, c in product(first, second, third))
    with fresh() as service, Api(service.port) as api:
        api.add(flows.nested(*sizes))
        seconds = _seconds(bench, api, "nested", expected, 5)
    count = len(expected)
    return [_of_tasks(bench, f"ForEach of three levels, {count:,} task runs", seconds, count, 2.0)]


def fan_out(bench: Bench) -> list[Record]:
    """Different core tasks at once, in one Parallel."""
    count = bench.count(1_000, 20)
    with fresh() as service, Api(service.port) as api:
        api.add(flows.fan(count))
        expected = [("all", None), *((f"branch{n}", f"branch {n} of fan") for n in range(count))]
        rates = tasks_per_second(bench, api, "fan", expected, 5)
    beside = raw.commits(bench, "sqlite")
    return [record(f"Parallel of {count:,} core tasks", "tasks/s", rates, aim=3_000, raw=beside)]


def kill_of_a_loop(bench: Bench) -> list[Record]:
    """From the call of a kill to the moment in which a ForEach of 10,000 is stored as KILLED."""
    count = bench.count(10_000, 2_000)
    values = []
    with fresh() as service, Api(service.port) as api:
        api.add(flows.each(count))
        flow_id = f"each{count}"
        for n in range(bench.repetitions()):
            bench.say(f"kill of a loop of {count} ({n + 1} of {bench.repetitions()})")
            execution_id = api.start(flow_id)["id"]
            time.sleep(0.1)
            begun = time.perf_counter()
            api.call("DELETE", f"{API}/executions/{execution_id}/kill")
            while not api.ended(flow_id, "KILLED") > n:
                if time.perf_counter() - begun > KILL_SECONDS:
                    raise Wrong(f"{api.execution(execution_id)['state']} after a kill")
            values.append((time.perf_counter() - begun) * 1000)
            _check_killed(api.execution(execution_id), count)
    return [record(f"kill of a ForEach of {count:,}", "ms", values, aim=100)]


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
        record(f"run of one task beside a ForEach of {count:,}, p99", "ms", beside, aim=250),
    ]


def _seconds(
    bench: Bench, api: Api, flow_id: str, expected: list[tuple[str, str | None]], runs: int
) -> list[float]:
    rates = tasks_per_second(bench, api, flow_id, expected, runs)
    return [len(expected) / rate for rate in rates]


def _of_tasks(bench: Bench, name: str, seconds: list[float], tasks: int, aim: float) -> Record:
    """Seconds of one run, beside durable commits of as many rows in batches as the step has."""
    commits = raw.commits(bench, "sqlite").value
    limit = Raw(
        name=f"{tasks // INLINE_STEPS + 1} commits",
        value=(tasks // INLINE_STEPS + 1) / commits,
        unit="s",
    )
    notes = f"{tasks / median(seconds):,.0f} task runs/s"
    return record(name, "s", seconds, aim=None if bench.quick else aim, raw=limit, notes=notes)


def _check_killed(execution: Json, count: int) -> None:
    """Raises `Wrong` unless it was stopped in its midst, and nothing of it goes on."""
    states = {run["state"]["current"] for run in execution["taskRunList"]}
    if not states <= {"SUCCESS", "KILLED"} or len(execution["taskRunList"]) > count + 1:
        raise Wrong(f"a killed execution has task runs in {sorted(states)}")


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
