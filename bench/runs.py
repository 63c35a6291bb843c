"""Runs a second, tasks a second, how soon a run begins, and how soon it has ended."""

from __future__ import annotations

import http.client
import time
from collections.abc import Sequence

from bench import flows, load, raw
from bench.client import Api, Json, check_all, check_runs, start_path, when
from bench.records import Raw, Record, percentile, record
from bench.service import Service, fresh
from bench.settings import Bench


def one_task(bench: Bench) -> list[Record]:
    """Runs a second of a flow of one task, asked for over HTTP, until all are stored as SUCCESS."""
    count = bench.count(2_000, 60)
    with fresh() as service, Api(service.port) as api:
        api.add(flows.ONE)
        load.generate(load.spread(service.port, start_path("one"), count=count // 5))
        values, ids = [], [one["id"] for one in api.executions("one")]
        p50, p99 = [], []
        for n in range(bench.repetitions()):
            bench.say(f"{count} runs of one task ({n + 1} of {bench.repetitions()})")
            answered = load.generate(load.spread(service.port, start_path("one"), count=count))
            ids.extend(answered.ids)
            api.wait_for("one", len(ids))
            values.append(count / (time.monotonic() - answered.begun))
            p50.append(percentile(answered.latencies, 0.5) * 1000)
            p99.append(percentile(answered.latencies, 0.99) * 1000)
        bench.say("reading back what ran")
        check_all(api, "one", ids, lambda _: [("say", None)], lambda e: [f"run {e['id']}"])
    notes = f"{count} runs over 32 connections"
    return [
        record(
            "runs of one task, over HTTP",
            "runs/s",
            values,
            aim=900,
            raw=raw.commits(bench, "sqlite"),
            notes=notes,
        ),
        record("answer to a start under that load, p50", "ms", p50, raw=_echo(bench, count)),
        record("answer to a start under that load, p99", "ms", p99),
    ]


def core_sequence(bench: Bench) -> list[Record]:
    """Tasks a second of one run of 100 core tasks, one after the other."""
    tasks = bench.count(100, 20)
    with fresh() as service, Api(service.port) as api:
        api.add(flows.sequence(tasks))
        expected = [(f"step{n}", f"step {n} of sequence") for n in range(tasks)]
        values = tasks_per_second(bench, api, "sequence", expected, 20)
    return [
        record(
            f"core tasks of one run, {tasks} in sequence",
            "tasks/s",
            values,
            aim=2_500,
            raw=raw.commits(bench, "sqlite"),
            notes="from the call to the answer with the end",
        )
    ]


def first_task(bench: Bench) -> list[Record]:
    """From the call of a trigger to the start of the first task, one call after the other."""
    count = bench.count(200, 10)
    values = []
    with fresh() as service, Api(service.port) as api:
        api.add(flows.ONE)
        for n in range(bench.repetitions()):
            bench.say(f"{count} single starts ({n + 1} of {bench.repetitions()})")
            waits = [_start_wait(api) for _ in range(count)]
            values.append(percentile(waits, 0.5))
        trip = _round_trip(service)
    return [
        record(
            "trigger call to the first task's start, p50",
            "ms",
            values,
            aim=10,
            raw=Raw(name="request to /health/live, p50", value=trip, unit="ms"),
        )
    ]


def idle(bench: Bench) -> list[Record]:
    """From the request of one execution to the answer with its end, nothing else going on."""
    count = bench.count(200, 10)
    values = []
    with fresh() as service, Api(service.port) as api:
        api.add(flows.ONE)
        for n in range(bench.repetitions()):
            bench.say(f"{count} single runs ({n + 1} of {bench.repetitions()})")
            values.append(percentile([_run_ms(api) for _ in range(count)], 0.5))
        trip = _round_trip(service)
    return [
        record(
            "one execution at idle, request to its end, p50",
            "ms",
            values,
            aim=5,
            raw=Raw(name="request to /health/live, p50", value=trip, unit="ms"),
        )
    ]


def _run_ms(api: Api) -> float:
    begun = time.perf_counter()
    execution = api.start("one", wait=True)
    passed = (time.perf_counter() - begun) * 1000
    check_runs(execution, [("say", None)])
    return passed


def _start_wait(api: Api) -> float:
    called = time.time()
    execution = api.start("one", wait=True)
    check_runs(execution, [("say", None)])
    return (when(_begun(execution)) - called) * 1000


def _begun(execution: Json) -> str:
    steps = execution["taskRunList"][0]["state"]["histories"]
    begun: str = next(step["date"] for step in steps if step["state"] == "RUNNING")
    return begun


def tasks_per_second(
    bench: Bench, api: Api, flow_id: str, expected: Sequence[tuple[str, str | None]], runs: int
) -> list[float]:
    """The rate of some runs, one after the other, each from its call to its answered end."""
    values = []
    for n in range(bench.count(runs, 1) + 1):
        bench.say(f"{len(expected)} tasks of {flow_id} (run {n})")
        begun = time.perf_counter()
        answer = api.start(flow_id, wait=True)
        values.append(len(expected) / (time.perf_counter() - begun))
        check_runs(api.execution(answer["id"]), expected)
    return values[1:]


def _round_trip(service: Service) -> float:
    """The median milliseconds of a request that does nothing."""
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=10)
    taken = []
    for _ in range(100):
        begun = time.perf_counter()
        connection.request("GET", "/health/live")
        connection.getresponse().read()
        taken.append((time.perf_counter() - begun) * 1000)
    connection.close()
    return percentile(taken, 0.5)


def _echo(bench: Bench, count: int) -> Raw:
    def measure(port: int) -> float:
        answered = load.generate(load.spread(port, "/", count=count))
        return count / (answered.ended - answered.begun)

    return raw.echo(bench, measure)
