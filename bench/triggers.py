"""Figures of triggers: a storm of webhook calls, and ten thousand schedules."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench import flows, load
from bench.client import API, Api, Wrong, hook_path, when
from bench.records import Record, percentile, record
from bench.service import NotMeasured, fresh, tree
from bench.settings import Bench

STORM_RATE = 1_000.0
STORM_SECONDS = 60.0
CONNECTIONS = 1_500
TRIGGERS_A_FLOW = 10
A_SECOND = 100
IDLE_SECONDS = 15.0
PREPARING = timedelta(seconds=100)


def webhook_storm(bench: Bench) -> list[Record]:
    """Calls at a rate for a minute: all that were accepted run, the rest got 503 and a time."""
    seconds = STORM_SECONDS if not bench.quick else 2.0
    rate = STORM_RATE if not bench.quick else 100.0
    path = hook_path("stormed", flows.HOOK_KEY)
    with fresh() as service, Api(service.port) as api:
        api.add(flows.STORMED)
        bench.say(f"{rate:g} calls a second for {seconds:g} s")
        orders = load.spread(
            service.port, path, body='{"n": {n}}', seconds=seconds, connections=CONNECTIONS,
            rate=rate, refusals=True,
        )  # fmt: skip
        answered = load.generate(orders)
        accepted = len(answered.ids)
        bench.say(f"waiting for {accepted} executions")
        api.wait_for("stormed", accepted)
        drained = time.monotonic() - answered.ended
        if (ended := api.ended("stormed")) != accepted:
            raise Wrong(f"{accepted} calls were accepted, {ended} executions ended well")
    took = answered.ended - answered.begun
    latency = percentile(answered.latencies, 0.99) * 1000
    notes = f"{accepted} accepted and run, {answered.refused} refused with 503 and Retry-After"
    return [
        record("webhook storm, calls answered", "calls/s",
               [(accepted + answered.refused) / took], aim=rate * 0.95, notes=notes),
        record("webhook storm, calls accepted", "calls/s", [accepted / took]),
        record("webhook storm, an answer, p99", "ms", [latency]),
        record("webhook storm, until all had run", "s", [max(drained, 0.0)]),
    ]  # fmt: skip


def schedules(bench: Bench) -> list[Record]:
    """Ten thousand schedules: what they cost while nothing is due, and how late dates fire."""
    count = bench.count(1_000, 20)
    fired = bench.count(60 * A_SECOND, 60)
    moment = datetime.now(UTC) + PREPARING if not bench.quick else datetime.now(UTC)
    minute = (moment + timedelta(minutes=1)).replace(second=0, microsecond=0)
    with fresh() as service, Api(service.port) as api:
        for n in range(count):
            if n % 100 == 0:
                bench.say(f"flow {n + 1} of {count}, {TRIGGERS_A_FLOW} schedules each")
            api.add(flows.scheduled(n, list(_crons(n, fired, minute))))
        left = (minute - datetime.now(UTC)).total_seconds()
        idle_seconds = min(IDLE_SECONDS, left - 8)
        if idle_seconds < 2:
            raise NotMeasured("saving the flows took too long; the minute of the dates is near")
        time.sleep(5)
        bench.say(f"idle for {idle_seconds:.0f} s")
        idle = _share_of_a_core(service.pid, idle_seconds)
        bench.say(f"{fired} dates in a minute from {minute:%H:%M}")
        time.sleep((minute - datetime.now(UTC)).total_seconds())
        busy = _share_of_a_core(service.pid, 60.0)
        lateness = _lateness(api, fired)
    total = count * TRIGGERS_A_FLOW
    return [
        record(f"{total:,} schedules, idle", "% of a core", [idle * 100], aim=5.0),
        record(f"{total:,} schedules, {fired / 60:g} dates/s", "% of a core", [busy * 100]),
        record("a date fires late, p99", "ms", [percentile(lateness, 0.99) * 1000]),
        record("a date fires late, at most", "ms", [max(lateness) * 1000], aim=1_000.0),
    ]


def _crons(flow: int, fired: int, minute: datetime) -> Iterator[str]:
    """The schedules of one flow: the first ones of all have a date in the minute."""
    for n in range(flow * TRIGGERS_A_FLOW, (flow + 1) * TRIGGERS_A_FLOW):
        if n < fired:
            yield f"{n % 60} {minute.minute} {minute.hour} {minute.day} {minute.month} *"
        else:
            yield f"{n % 60} {n % 60} 3 1 1 *"


def _share_of_a_core(pid: int, seconds: float) -> float:
    """How much of one core a service takes over some time, all its processes together."""
    before, begun = _cpu(pid), time.monotonic()
    time.sleep(seconds)
    return (_cpu(pid) - before) / (time.monotonic() - begun)


def _cpu(pid: int) -> float:
    """Seconds of a processor that a process and its descendants have used."""
    ticks = 0
    for one in tree(pid):
        try:
            fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _lateness(api: Api, expected: int) -> list[float]:
    """Seconds from each date to the moment in which its execution was made."""
    found: list[float] = []
    page, seen = 1, 0
    while True:
        path = f"{API}/executions/search?namespace={flows.NAMESPACE}&size=500&page={page}"
        results = api.call("GET", path)["results"]
        for one in results:
            if one["state"]["current"] != "SUCCESS":
                raise Wrong(f"execution {one['id']} is {one['state']['current']}")
            date = when(one["trigger"]["variables"]["date"])
            found.append(when(one["state"]["histories"][0]["date"]) - date)
        seen += len(results)
        page += 1
        if not results:
            break
    if len(found) != expected:
        raise Wrong(f"{len(found)} executions for {expected} dates")
    return found
