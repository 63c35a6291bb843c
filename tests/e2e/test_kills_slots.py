"""Crashes while executions wait for slots: the limit holds all the time, and no slot is lost."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import httpx2
import pytest
from tests.e2e.test_kills import PATIENCE, kill, mortal, postgres, postgres_database
from tests.live import TERMINAL, Service, wait_for

__all__ = ["mortal", "postgres", "postgres_database"]
pytestmark = pytest.mark.e2e

API = "/api/v1/main/executions"
LIMIT = 3
SECONDS = 8.0
LIMITED = """
id: limited
namespace: kills
concurrency: {limit: 3, behavior: QUEUE}
triggers:
  - {id: hook, type: io.kestra.plugin.core.trigger.Webhook, key: a-key-of-some-length}
tasks:
  - id: work
    type: io.kestra.plugin.scripts.shell.Commands
    taskRunner: {type: io.kestra.plugin.core.runner.Process}
    retry: {type: constant, interval: PT0.1S, maxAttempts: 40}
    commands: [sleep 0.2]
  - {id: say, type: io.kestra.plugin.core.log.Log, message: worked}
"""
PARENT = """
id: parent
namespace: kills
tasks:
  - id: each
    type: io.kestra.plugin.core.flow.ForEach
    values: [1, 2, 3, 4]
    concurrencyLimit: 0
    tasks:
      - {id: call, type: io.kestra.plugin.core.flow.Subflow, namespace: kills, flowId: limited}
"""
WAYS = (
    "kills/limited",
    "kills/limited",
    "kills/parent",
    "webhook/kills/limited/a-key-of-some-length",
)


def all_of(service: Service, flow: str) -> list[dict[str, Any]]:
    query = {"namespace": "kills", "flowId": flow, "size": 1000}
    answer = service.get(API, params=query, timeout=10).raise_for_status()
    found: list[dict[str, Any]] = answer.json()["results"]
    return found


def moments(execution: dict[str, Any]) -> Iterator[tuple[datetime, int]]:
    """When it took its slot and when it gave it back."""
    history = [(step["state"], step["date"]) for step in execution["state"]["histories"]]
    began = [at for state, at in history if state == "RUNNING"]
    if began:
        yield datetime.fromisoformat(began[0]), 1
        yield datetime.fromisoformat(history[-1][1]), -1


def most_at_once(executions: list[dict[str, Any]]) -> int:
    running, most = 0, 0
    for _, change in sorted(moment for one in executions for moment in moments(one)):
        running += change
        most = max(most, running)
    return most


def patiently(service: Service, look: Callable[[], list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """What the service says as soon as all of it has ended."""
    until = time.monotonic() + PATIENCE
    found: list[dict[str, Any]] = []
    while time.monotonic() < until:
        try:
            found = look()
        except httpx2.HTTPError:
            time.sleep(0.1)
            continue
        if all(one["state"]["current"] in TERMINAL for one in found):
            return found
        time.sleep(0.2)
    open_ = [one["id"] for one in found if one["state"]["current"] not in TERMINAL]
    raise AssertionError(f"never ended: {open_}\n{service.said()[-2000:]}")


def test_the_limit_holds_through_crashes_and_every_slot_is_given_back(mortal: Service) -> None:
    seed = random.randrange(1, 10**6)
    print(f"seed {seed}")
    chance = random.Random(seed)
    mortal.put_flow(LIMITED)
    mortal.put_flow(PARENT)
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        for _ in range(3):
            try:
                mortal.post(f"{API}/{chance.choice(WAYS)}", timeout=5)
            except httpx2.HTTPError:
                continue
        time.sleep(chance.uniform(0.0, 0.5))
        kill(mortal, chance.choice(("core", "core", "runner", "all", "parent")))
    parents = patiently(mortal, lambda: all_of(mortal, "parent"))
    found = patiently(mortal, lambda: all_of(mortal, "limited"))
    print(f"{len(found)} executions of which {most_at_once(found)} ran at once")
    assert {one["state"]["current"] for one in [*parents, *found]} == {"SUCCESS"}
    for one in found:
        assert sum(step["state"] in TERMINAL for step in one["state"]["histories"]) == 1, one
    called = [one for one in found if (one.get("trigger") or {}).get("id") == "call"]
    assert len(called) == 4 * len(parents)
    assert most_at_once(found) <= LIMIT
    _all_slots_are_free(mortal)
    assert "Traceback" not in mortal.said()


def _all_slots_are_free(service: Service) -> None:
    ids = [service.start_flow("kills", "limited") for _ in range(LIMIT + 1)]
    ends = [wait_for(lambda one=one: service.ended(one), bool) for one in ids]
    queued = ["QUEUED" in [step["state"] for step in one["state"]["histories"]] for one in ends]
    assert queued[:LIMIT] == [False] * LIMIT
