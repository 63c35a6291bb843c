"""Figure 9, its webhooks: a flow of two core tasks called again and again, in several settings."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from statistics import median

from bench import flows, load, past, raw
from bench.client import Api, Json, check_all, hook_path
from bench.followers import Followers
from bench.records import Record, percentile, record
from bench.service import PENSTOCK, Service, fresh
from bench.settings import Bench

SECONDS = 20.0
CONNECTIONS = 24
SLOW_MS = 3
FOLLOWERS = 200
# A web process has places for 48 followers.
FOLLOWED_WEB = 5
PAST = 1_000_000


@dataclass(slots=True)
class _Calls:
    """What the calls of some repetitions came to."""

    rates: list[float] = field(default_factory=list)
    p50: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)


def postgres(bench: Bench) -> list[Record]:
    """A flow of two core tasks called by webhook, answered with its end, on PostgreSQL."""
    return _plain(bench, "PostgreSQL", bench.postgres_url(), aim=800)


def sqlite(bench: Bench) -> list[Record]:
    """The same on SQLite."""
    return _plain(bench, "SQLite", None, aim=1_000)


def slow(bench: Bench) -> list[Record]:
    """The same on PostgreSQL, each commit of which takes longer."""
    program = (sys.executable, "-m", "bench.slow_store", str(SLOW_MS))
    name = f"PostgreSQL that takes {SLOW_MS} ms more a commit"
    rates, *_ = _plain(bench, name, bench.postgres_url(), aim=400, program=program)
    return [rates]


def followed(bench: Bench) -> list[Record]:
    """What 200 clients that follow live logs take from the rate of the webhooks."""
    count = bench.count(FOLLOWERS, 8)
    url, configured = bench.postgres_url(), f"web: {FOLLOWED_WEB}\n"
    with fresh(url, configured=configured) as service, Api(service.port) as api:
        api.add(flows.HOOKED)
        alone = _calls(bench, service, "webhooks, nobody follows")
        with Followers(service, api, count):
            beside = _calls(bench, service, f"webhooks, {count} follow")
        _check(bench, api, alone.ids + beside.ids)
    what = f"{count} followers of live logs"
    notes = f"{FOLLOWED_WEB} web processes; without followers {median(alone.rates):,.0f} runs/s"
    return [
        record(f"webhook runs, PostgreSQL, {what}", "runs/s", beside.rates, notes=notes),
        record(f"fewer webhook runs beside {what}", "%", _less(alone, beside), aim=20),
    ]


def after_many(bench: Bench) -> list[Record]:
    """What a million executions of the past take from the rate of the webhooks."""
    count = bench.count(PAST, 2_000)
    url = bench.postgres_url()
    with fresh(url) as service, Api(service.port) as api:
        api.add(flows.HOOKED)
        empty = _calls(bench, service, "webhooks, an empty store")
        _check(bench, api, empty.ids)
        bench.say(f"writing {count:,} executions of the past")
        past.fill(url, empty.ids[0], count)
        # Whoever is measured begins with the tables as they are, not with plans of before.
        since = datetime.now(UTC).isoformat()
        full = _calls(bench, service, f"webhooks, {count:,} executions before")
        _check(bench, api, full.ids, since)
    what = f"{count:,} executions of the past"
    notes = f"into the empty store {median(empty.rates):,.0f} runs/s"
    return [
        record(f"webhook runs, PostgreSQL, {what}", "runs/s", full.rates, notes=notes),
        record(f"fewer webhook runs after {what}", "%", _less(empty, full), aim=10),
    ]


def _plain(
    bench: Bench, name: str, url: str | None, *, aim: float, program: tuple[str, ...] = PENSTOCK
) -> list[Record]:
    with fresh(url, program=program) as service, Api(service.port) as api:
        api.add(flows.HOOKED)
        calls = _calls(bench, service, f"webhooks on {name}")
        _check(bench, api, calls.ids)
    beside = raw.commits(bench, "sqlite" if url is None else "postgresql")
    notes = f"{CONNECTIONS} connections, each asking again once its run has ended"
    return [
        record(f"webhook runs, {name}", "runs/s", calls.rates, aim=aim, raw=beside, notes=notes),
        record(f"webhook to the run's end, {name}, p50", "ms", calls.p50, aim=30),
        record(f"webhook to the run's end, {name}, p99", "ms", calls.p99, aim=150),
    ]


def _calls(bench: Bench, service: Service, what: str) -> _Calls:
    """Call for some seconds, several times; the first, short time only warms up."""
    seconds = SECONDS if not bench.quick else 1.0
    calls = _Calls()
    for n in range(bench.repetitions(3) + 1):
        bench.say(f"{what}, {seconds:g} s ({n} of {bench.repetitions(3)})")
        answered = load.generate(
            load.spread(
                service.port,
                hook_path("hooked", flows.HOOK_KEY),
                body='{"n": {n}}',
                seconds=seconds if n else min(seconds, 2.0),
                connections=CONNECTIONS,
            )
        )
        calls.ids.extend(answered.ids)
        if n:
            calls.rates.append(len(answered.ids) / (answered.ended - answered.begun))
            calls.p50.append(percentile(answered.latencies, 0.5) * 1000)
            calls.p99.append(percentile(answered.latencies, 0.99) * 1000)
    return calls


def _check(bench: Bench, api: Api, ids: list[str], since: str = "") -> None:
    bench.say("reading back what ran")
    check_all(api, "hooked", ids, _greeted, _said, since=since)


def _less(before: _Calls, after: _Calls) -> list[float]:
    """By how many per cent the rates went down."""
    usual = median(before.rates)
    return [(1 - rate / usual) * 100 for rate in after.rates]


def _greeted(execution: Json) -> list[tuple[str, str | None]]:
    return [("greet", _greeting(execution)), ("say", None)]


def _said(execution: Json) -> list[str]:
    return [_greeting(execution)] * 2


def _greeting(execution: Json) -> str:
    return f"hello {execution['trigger']['variables']['body']['n']}"
