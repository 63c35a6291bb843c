"""Triggers of a live service: a webhook, what listens to it, a schedule and its backfill."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from tests.cli.command import penstock
from tests.live import AS_OURSELVES, Service, live_service, wait_for

pytestmark = pytest.mark.e2e

HOOK = """
id: hook
namespace: team.triggers
tasks:
  - {id: make, type: io.kestra.plugin.core.debug.Return, format: "{{ trigger.body.name }}"}
outputs:
  - {id: greeting, type: STRING, value: "hello {{ outputs.make.value }}"}
triggers:
  - id: hook
    type: io.kestra.plugin.core.trigger.Webhook
    key: secret-key
    wait: true
    returnOutputs: true
    conditions:
      - {type: io.kestra.plugin.core.condition.ExecutionNamespace, namespace: team, prefix: true}
"""
LISTENER = """
id: listener
namespace: team.triggers
inputs:
  - {id: heard, type: STRING}
tasks:
  - {id: say, type: io.kestra.plugin.core.log.Log, message: "{{ inputs.heard }}"}
triggers:
  - id: after
    type: io.kestra.plugin.core.trigger.Flow
    inputs: {heard: "{{ trigger.outputs.greeting }}"}
    preconditions:
      id: hooked
      flows: [{namespace: team.triggers, flowId: hook, states: [SUCCESS]}]
"""
DAILY = """
id: daily
namespace: team.triggers
inputs:
  - {id: full, type: BOOL, defaults: false}
tasks:
  - {id: say, type: io.kestra.plugin.core.log.Log, message: "{{ trigger.date }}"}
triggers:
  - {id: daily, type: io.kestra.plugin.core.trigger.Schedule, cron: "0 6 * * *"}
"""
SECONDS = """
id: ticking
namespace: team.triggers
tasks:
  - {id: say, type: io.kestra.plugin.core.log.Log, message: tick}
triggers:
  - {id: tick, type: io.kestra.plugin.core.trigger.Schedule, cron: "* * * * * *", withSeconds: true}
"""


POLL = """
id: poll
namespace: team.triggers
tasks:
  - {{id: say, type: io.kestra.plugin.core.log.Log, message: "{{{{ trigger.body }}}}"}}
triggers:
  - id: ask
    type: io.kestra.plugin.core.http.Trigger
    uri: "{uri}/flows/team.triggers/hook"
    interval: PT1S
    responseCondition: "{{{{ response.statusCode == 200 and response.body contains 'hook' }}}}"
    stopAfter: [SUCCESS]
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with live_service(tmp_path_factory.mktemp("live"), environment=AS_OURSELVES) as running:
        yield running


def executions(service: Service, flow_id: str) -> list[dict[str, Any]]:
    """The executions of a flow that have ended, oldest first."""
    params = {"namespace": "team.triggers", "flowId": flow_id, "size": 100, "state": "SUCCESS"}
    found = service.get("/api/v1/main/executions/search", params=params).json()
    listed: list[dict[str, Any]] = found["results"]
    return sorted(listed, key=lambda one: str(one["id"]))


def some(service: Service, flow_id: str, count: int) -> list[dict[str, Any]]:
    """The executions of a flow, once so many have ended."""
    read = partial(executions, service, flow_id)
    found: list[dict[str, Any]] = wait_for(read, lambda ended: len(ended) >= count)
    return found


def test_a_webhook_gives_back_outputs_and_wakes_those_who_listen(service: Service) -> None:
    service.put_flow(LISTENER)
    service.put_flow(HOOK)
    path = "/api/v1/main/executions/webhook/team.triggers/hook/secret-key"
    answer = service.post(path, json={"name": "Ada"})
    assert (answer.status_code, answer.json()) == (200, {"greeting": "hello Ada"})
    [heard] = some(service, "listener", 1)
    assert heard["inputs"] == {"heard": "hello Ada"}
    assert heard["trigger"]["variables"]["flowId"] == "hook"


def test_a_backfill_runs_the_dates_that_are_past(service: Service) -> None:
    service.put_flow(DAILY)
    told = penstock(
        "backfill", "team.triggers.daily", "daily", "--start", "2026-01-01", "--end",
        "2026-01-03T06:00", "--labels", "why=late", "--inputs", "full=true",
        PENSTOCK_SERVER=service.url,
    )  # fmt: skip
    assert told.code == 0, told.err
    assert "runs from 2026-01-01 00:00:00 to 2026-01-03 06:00:00" in told.err

    found = some(service, "daily", 3)
    assert [one["trigger"]["variables"]["date"][:10] for one in found] == [
        "2026-01-01",
        "2026-01-02",
        "2026-01-03",
    ]
    assert [one["inputs"]["full"] for one in found] == [True] * 3
    assert {"key": "why", "value": "late"} in found[0]["labels"]
    state = service.get("/api/v1/main/triggers/team.triggers/daily").json()["results"][0]
    assert "backfill" not in state


WAITING = """
id: waiting
namespace: team.triggers
tasks:
  - {id: wait, type: io.kestra.plugin.core.flow.Pause}
triggers:
  - {id: daily, type: io.kestra.plugin.core.trigger.Schedule, cron: "0 6 * * *"}
"""


def test_a_backfill_is_followed_paused_resumed_and_cancelled(service: Service) -> None:
    service.put_flow(WAITING)
    name = ("backfill", "team.triggers.waiting", "daily")

    def say(*words: str) -> tuple[int, str]:
        told = penstock(*name, *words, PENSTOCK_SERVER=service.url)
        return told.code, told.out + told.err

    assert say("--status") == (0, "team.triggers.waiting daily: no backfill is under way\n")
    assert say("--pause")[0] == 1
    assert say("--start", "2026-01-01", "--end", "2026-01-10")[0] == 0
    at_second = wait_for(lambda: say("--status")[1], lambda text: "at 2026-01-02" in text)
    assert at_second.endswith("at 2026-01-02 06:00:00 of 2026-01-10 23:59:59 (UTC), 12 %\n")
    assert say("--pause") == (0, "team.triggers.waiting daily: paused\n")
    code, text = say("--follow")
    assert (code, "paused at 2026-01-02" in text) == (5, True)
    assert "goes on, next 2026-01-02" in say("--resume")[1]
    assert say("--start", "2026-03-01")[0] == 5
    assert "cancelled, next " in say("--cancel")[1]
    assert say("--status") == (0, "team.triggers.waiting daily: no backfill is under way\n")


def test_a_backfill_that_is_followed_ends_with_its_last_date(service: Service) -> None:
    service.put_flow(DAILY.replace("daily", "again"))
    told = penstock(
        "backfill", "team.triggers.again", "again", "--start", "2026-01-01", "--end",
        "2026-01-05", "-f", PENSTOCK_SERVER=service.url,
    )  # fmt: skip
    assert told.code == 0, told.err
    assert "the backfill is over, next " in told.err
    assert len(executions(service, "again")) == 5


@pytest.mark.parametrize(
    "words", [[], ["--start", "2026-01-01", "--pause"], ["--pause", "--inputs", "a=b"]]
)
def test_a_backfill_is_begun_or_changed_but_not_both(service: Service, words: list[str]) -> None:
    name = ("backfill", "team.triggers.daily", "daily")
    assert penstock(*name, *words, PENSTOCK_SERVER=service.url).code == 2


def test_a_backfill_of_nothing_says_so(service: Service) -> None:
    told = penstock(
        "backfill", "team.triggers.daily", "nothing", "--start", "2026-01-01",
        PENSTOCK_SERVER=service.url,
    )  # fmt: skip
    assert (told.code, "has no trigger nothing" in told.err) == (1, True)
    wrong = penstock("backfill", "daily", "daily", "--start", "soon", PENSTOCK_SERVER=service.url)
    assert wrong.code == 2


def test_a_schedule_goes_on_over_a_crash_and_fires_each_date_once(service: Service) -> None:
    service.put_flow(SECONDS)
    some(service, "ticking", 2)
    service.kill()
    service.restart()
    before = len(executions(service, "ticking"))
    some(service, "ticking", before + 2)
    path = "/api/v1/main/triggers"
    name = {"namespace": "team.triggers", "flowId": "ticking", "triggerId": "tick"}
    assert service.request("PUT", path, json={**name, "disabled": True}).status_code == 200
    dates = [one["trigger"]["variables"]["date"] for one in executions(service, "ticking")]
    assert len(set(dates)) == len(dates)


def test_a_runner_asks_and_a_flow_starts_when_the_answer_fits(service: Service) -> None:
    service.put_flow(POLL.format(uri=f"{service.url}/api/v1/main"))
    service.put_flow(HOOK)
    [found] = some(service, "poll", 1)
    assert found["trigger"]["variables"]["code"] == 200
    path = "/api/v1/main/triggers/team.triggers/poll"
    state = wait_for(lambda: service.get(path).json()["results"][0], lambda one: one["disabled"])
    assert "executionId" not in state


ARRIVALS = """
id: arrivals
namespace: team.triggers
tasks:
  - id: each
    type: io.kestra.plugin.core.flow.ForEach
    values: "{{{{ trigger.files }}}}"
    tasks:
      - id: say
        type: io.kestra.plugin.core.log.Log
        message: "{{{{ read(json(taskrun.value).uri) }}}}"
triggers:
  - id: watch
    type: io.kestra.plugin.fs.local.Trigger
    from: {folder}
    regExp: ".*[.]csv"
    action: MOVE
    moveDirectory: {folder}/done
    interval: PT1S
"""


def test_a_file_that_arrives_starts_a_flow_and_is_moved_away(
    service: Service, tmp_path: Path
) -> None:
    service.put_flow(ARRIVALS.format(folder=tmp_path))
    for number in (1, 2):
        (tmp_path / "other.txt").write_text("not this one")
        (tmp_path / "unfinished").write_text(f"text {number}")
        (tmp_path / "unfinished").rename(tmp_path / f"{number}.csv")
        found = some(service, "arrivals", number)
        lines = service.get(f"/api/v1/main/logs/{found[-1]['id']}").json()
        assert f"text {number}" in [line["message"] for line in lines]
        moved = partial((tmp_path / "done" / f"{number}.csv").exists)
        wait_for(moved, bool)
    assert sorted(path.name for path in tmp_path.glob("*")) == ["done", "other.txt"]
    assert len(executions(service, "arrivals")) == 2


TOGGLE = """
id: toggle
namespace: team.triggers
inputs: [{id: enabled, type: BOOL}]
tasks:
  - id: toggle
    type: io.kestra.plugin.core.trigger.Toggle
    flowId: toggled
    trigger: tick
    enabled: "{{ inputs.enabled }}"
"""


def test_a_task_switches_a_trigger_off_and_on_and_what_was_missed_is_caught_up(
    service: Service,
) -> None:
    service.put_flow(TOGGLE)
    service.put_flow(SECONDS.replace("ticking", "toggled"))
    some(service, "toggled", 1)

    def switched(enabled: str) -> bool:
        service.ended(service.start_flow("team.triggers", "toggle", enabled=enabled))
        found = service.get("/api/v1/main/triggers/team.triggers/toggled").json()
        return not found["results"][0]["disabled"]

    assert not switched("false")
    before = len(executions(service, "toggled"))
    service.ended(service.start_flow("team.triggers", "toggle", enabled="false"))
    assert len(executions(service, "toggled")) <= before + 1
    assert switched("true")
    dates = [one["trigger"]["variables"]["date"] for one in some(service, "toggled", before + 3)]
    moments = [datetime.fromisoformat(date) for date in sorted(dates)]
    assert {after - one for one, after in pairwise(moments)} == {timedelta(seconds=1)}
