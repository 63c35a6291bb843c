"""How long a flow of one task takes while templates that are made to hurt are rendered."""

from __future__ import annotations

import time

from bench import flows, load
from bench.client import Api, check_all, start_path
from bench.records import Record, percentile, record
from bench.service import fresh
from bench.settings import Bench

AIM = 100.0
LONG = "a" * 40 + "!"
TEMPLATES = (
    "{{ [1] | jq('[limit(500000; repeat(1))] | length') }}",
    "{{ '" + LONG + "' | replace({'^(a|a)*$': ''}, regexp=true) }}",
    "{% for a in 1..9999 %}{% for b in 1..9999 %}x{% endfor %}{% endfor %}",
    "{{ range(1, 99999) | join('" + "x" * 1000 + "') }}",
    "{{ render(vars.again) }}",
)
"""A slow program, a pattern without end, loops in loops, a long text, a text of itself."""


def beside_hostile(bench: Bench) -> list[Record]:
    """The p99 of one-task executions, alone and beside the hostile ones."""
    alone: list[float] = []
    beside: list[float] = []
    with fresh() as service, Api(service.port) as api:
        api.add(flows.ONE)
        for n, template in enumerate(TEMPLATES):
            api.add(_hostile(n, template))
        for n in range(bench.repetitions(3)):
            bench.say(f"one task beside hostile templates ({n + 1} of {bench.repetitions(3)})")
            alone.append(percentile(_waits(service.port, bench.count(200, 20)), 0.99) * 1000)
            begun = [api.start(f"hostile{k}")["id"] for k in range(len(TEMPLATES))]
            waits: list[float] = []
            while not waits or not _all_ended(api, begun):
                waits.extend(_waits(service.port, 20))
            beside.append(percentile(waits, 0.99) * 1000)
        ids = [one["id"] for one in api.executions("one")]
        check_all(api, "one", ids, lambda _: [("say", None)], lambda e: [f"run {e['id']}"])
    name = "run of one task beside hostile templates, p99"
    return [
        record("run of one task before hostile templates, p99", "ms", alone),
        record(name, "ms", beside, aim=AIM, notes=f"{len(TEMPLATES)} templates at once"),
    ]


def _hostile(number: int, template: str) -> str:
    text = template.replace("'", "''")
    return (
        f"id: hostile{number}\nnamespace: {flows.NAMESPACE}\n"
        'variables:\n  again: "{{ render(vars.again) }}"\n'
        f"tasks:\n  - id: hurt\n    type: {flows.CORE}.debug.Return\n"
        f"    timeout: PT20S\n    format: '{text}'\n"
    )


def _all_ended(api: Api, ids: list[str]) -> bool:
    """Whether the hostile ones have ended, however they did."""
    time.sleep(0.01)
    open_ = {"CREATED", "QUEUED", "RUNNING"}
    return not any(api.execution(one)["state"]["current"] in open_ for one in ids)


def _waits(port: int, count: int) -> list[float]:
    path = start_path("one") + "?wait=true"
    orders = load.spread(port, path, count=count, connections=2, processes=1)
    return list(load.generate(orders).latencies)
