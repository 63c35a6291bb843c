"""Figures of jobs: shell tasks at once and in sequence, a kill that reaches one, light scripts."""

from __future__ import annotations

import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

from bench import flows, raw
from bench.client import API, Api, Wrong
from bench.records import Raw, Record, record
from bench.runs import tasks_per_second
from bench.service import fresh
from bench.settings import Bench

PATIENCE = 30.0
THREADS = 4
SLEEPER = f"""\
id: sleeper
namespace: {flows.NAMESPACE}
tasks:
  - id: sleep
    type: io.kestra.plugin.scripts.shell.Commands
    taskRunner: {{type: {flows.CORE}.runner.Process}}
    commands: ['echo "process $$"', 'exec sleep 600']
"""


def sequence(bench: Bench) -> list[Record]:
    """Shell tasks of one run that do nothing, one after the other, with the Process runner."""
    count = bench.count(100, 10)
    with fresh() as service, Api(service.port) as api:
        api.add(flows.shell_sequence(count))
        expected = [(f"step{n}", None) for n in range(count)]
        rates = tasks_per_second(bench, api, "shells", expected, 5)
    bare = raw.processes(bench)
    return [
        record(f"shell tasks of one run, {count} in sequence", "tasks/s", rates, aim=300, raw=bare),
        record(
            "own time of a shell job, over the child's own",
            "ms",
            [1000 / rate - 1000 / bare.value for rate in rates],
            aim=2,
            raw=Raw(name="the child's own", value=1000 / bare.value, unit="ms"),
        ),
    ]


def parallel(bench: Bench) -> list[Record]:
    """Shell tasks of one run that do nothing, all at once."""
    count = bench.count(100, 10)
    with fresh() as service, Api(service.port) as api:
        api.add(flows.shell_fan(count))
        expected = [("all", None), *((f"branch{n}", None) for n in range(count))]
        rates = tasks_per_second(bench, api, "shellfan", expected, 5)
    return [
        record(
            f"shell tasks of one run, {count} at once",
            "tasks/s",
            rates,
            aim=1_000,
            raw=_threads(bench),
        )
    ]


def kill(bench: Bench) -> list[Record]:
    """From the call of a kill to the end of the process that the job had started."""
    values = []
    with fresh() as service, Api(service.port) as api:
        api.add(SLEEPER)
        for n in range(bench.count(20, 2)):
            bench.say(f"kill of a job ({n + 1} of {bench.count(20, 2)})")
            execution_id = api.start("sleeper")["id"]
            process = Path(f"/proc/{_told(api, execution_id)}")
            begun = time.perf_counter()
            api.call("DELETE", f"{API}/executions/{execution_id}/kill")
            while process.exists():
                if time.perf_counter() - begun > PATIENCE:
                    raise Wrong(f"{process} lives on after a kill")
                time.sleep(0.0005)
            values.append((time.perf_counter() - begun) * 1000)
            _wait_until_killed(api, n + 1)
    return [record("a kill has ended the process of a job", "ms", values, aim=100)]


def scripts(bench: Bench) -> list[Record]:
    """Light Python scripts one after the other, beside the start of their bare interpreter."""
    count = bench.count(40, 4)
    with fresh() as service, Api(service.port) as api:
        api.add(flows.script_sequence(count))
        expected = [(f"step{n}", None) for n in range(count)]
        rates = tasks_per_second(bench, api, "scripts", expected, 5)
        said = {line["message"] for line in api.lines("scripts")}
        pythons = [line for line in said if line.startswith("/")]
    if len(pythons) != 1:
        raise Wrong(f"the scripts were run by {pythons or 'nobody'}")
    [python] = pythons
    bare = median(_start_ms(python) for _ in range(bench.count(20, 3)))
    return [
        record(
            f"a light Python script task, {count} in sequence, over its bare interpreter",
            "times",
            [1000 / rate / bare for rate in rates],
            aim=1.3,
            raw=Raw(name=f"{python} -c pass", value=bare, unit="ms"),
        )
    ]


def _threads(bench: Bench) -> Raw:
    name = f"subprocess.run(['true']) in {THREADS} threads"

    def measure() -> Raw:
        count = bench.count(2_000, 100)
        with ThreadPoolExecutor(THREADS) as threads:
            begun = time.perf_counter()
            done = [threads.submit(_true) for _ in range(count)]
            for one in done:
                one.result()
            return Raw(name=name, value=count / (time.perf_counter() - begun), unit="/s")

    return bench.raw(name, measure)


def _true() -> None:
    subprocess.run(["true"], check=True, timeout=10)


def _start_ms(python: str) -> float:
    begun = time.perf_counter()
    subprocess.run([python, "-c", "pass"], check=True, timeout=30)
    return (time.perf_counter() - begun) * 1000


def _told(api: Api, execution_id: str) -> int:
    """The id of the job's process, as it says itself."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        for line in api.lines("sleeper"):
            if line["executionId"] == execution_id and line["message"].startswith("process "):
                return int(line["message"].removeprefix("process "))
        time.sleep(0.02)
    raise Wrong("the job to kill did not begin")


def _wait_until_killed(api: Api, count: int) -> None:
    until = time.monotonic() + PATIENCE
    while api.ended("sleeper", "KILLED") < count:
        if time.monotonic() > until:
            raise Wrong(f"fewer than {count} executions were killed")
        time.sleep(0.01)
