"""A task that writes as fast as it may, its log followed, with other runs beside it."""

from __future__ import annotations

import http.client
import json
import threading
import time

from bench import flows, load
from bench.client import Api, Json, Wrong, start_path
from bench.records import Record, percentile, record
from bench.service import Service, fresh
from bench.settings import Bench

LINE = "line %07.0f of a flood that is as wide as the lines of a build usually are, with its paths"
BESIDE = 100.0
PATIENCE = 120.0


def log_flood(bench: Bench) -> list[Record]:
    """From the start of the task to its end with all lines stored; a follower sees each once."""
    count = bench.count(300_000, 5_000)
    size = count * len(LINE % 0 + "\n") / 1e6
    rates, beside = [], []
    with fresh() as service, Api(service.port) as api:
        api.add(flows.ONE)
        api.add(_flow(count))
        for n in range(bench.repetitions(3)):
            bench.say(f"{size:.0f} MB of log ({n + 1} of {bench.repetitions(3)})")
            with _Beside(service, bench.count(8, 2)) as runs:
                execution_id = api.start("flood")["id"]
                _follow(service, execution_id, count)
                execution = _ended(api, execution_id)
            [task] = execution["taskRunList"]
            rates.append(size / task["state"]["duration"])
            beside.append(percentile(runs.latencies, 0.99) * 1000)
    return [
        record(
            f"log of one task, {size:.0f} MB, followed, beside {BESIDE:.0f} runs/s",
            "MB/s",
            rates,
            aim=10,
            notes="every line stored and seen by the follower once, in order",
        ),
        record("answer to a start beside the flood, p99", "ms", beside),
    ]


def _flow(count: int) -> str:
    return (
        f"id: flood\nnamespace: {flows.NAMESPACE}\ntasks:\n"
        "  - id: write\n    type: io.kestra.plugin.scripts.shell.Commands\n"
        f"    taskRunner: {{type: {flows.CORE}.runner.Process}}\n"
        f"    commands: ['seq -f \"{LINE}\" 1 {count}']\n"
    )


def _follow(service: Service, execution_id: str, count: int) -> None:
    """Read the log as a page does, to its last line; raises `Wrong` at the first gap."""
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=PATIENCE)
    connection.request("GET", f"/api/v1/main/logs/{execution_id}/follow")
    answer = connection.getresponse()
    number = 0
    while number < count:
        line = answer.readline()
        if not line:
            raise Wrong(f"the log ended after {number} of {count} lines")
        if not line.startswith(b"data: "):
            continue
        said = json.loads(line[6:])["message"]
        if not said.startswith("line "):
            continue  # what the service itself says of the task
        number += 1
        if said != LINE % number:
            raise Wrong(f"line {number} of the log is {said!r}")
    connection.close()


def _ended(api: Api, execution_id: str) -> Json:
    until = time.monotonic() + PATIENCE
    while True:
        execution = api.execution(execution_id)
        if execution["state"]["current"] == "SUCCESS":
            return execution
        if time.monotonic() > until:
            raise Wrong(f"the flood is {execution['state']['current']}")
        time.sleep(0.05)


class _Beside:
    """Runs of one task at a steady rate for a while."""

    def __init__(self, service: Service, seconds: float) -> None:
        self.latencies: tuple[float, ...] = ()
        path = start_path("one")
        self._orders = load.spread(service.port, path, seconds=seconds, rate=BESIDE, processes=1)
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> _Beside:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join()

    def _run(self) -> None:
        self.latencies = load.generate(self._orders).latencies
