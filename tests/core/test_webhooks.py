"""Webhooks of a live service: a switch, a storm, a body that is too large, what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any, cast

import httpx2
import pytest
from tests.live import Service, live_service, wait_for

from penstock_server.core.operations.executions import START_QUEUE
from penstock_server.core.operations.triggers import fire_webhook
from penstock_server.core.room import Answer, Room

CALLS = 400
HOOK = """
id: hook
namespace: team
tasks:
  - {id: say, type: io.kestra.plugin.core.log.Log, message: "{{ trigger.body }}"}
triggers:
  - {id: hook, type: io.kestra.plugin.core.trigger.Webhook, key: secret-key}
"""
RAISING = """
id: raising
namespace: team
tasks:
  - {id: say, type: io.kestra.plugin.core.log.Log, message: hi}
triggers:
  - id: hook
    type: io.kestra.plugin.core.trigger.Webhook
    key: secret-key
    conditions:
      - {type: io.kestra.plugin.core.condition.Expression, expression: "{{ nope.nope() }}"}
"""
PATH = "/api/v1/executions/webhook/team/hook/secret-key"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with live_service(tmp_path_factory.mktemp("live")) as running:
        for source in (HOOK, RAISING):
            running.put_flow(source)
        yield running


def total(service: Service, flow_id: str = "hook", state: str = "SUCCESS") -> int:
    params = {"namespace": "team", "flowId": flow_id, "size": 1, "state": state}
    return int(service.get("/api/v1/executions/search", params=params).json()["total"])


@pytest.mark.e2e
def test_every_call_of_a_storm_that_was_accepted_runs_and_the_rest_was_told_when_to_try_again(
    service: Service,
) -> None:
    before = total(service)
    with httpx2.Client(base_url=service.url, timeout=60, trust_env=False) as client:

        def call(number: int) -> httpx2.Response:
            return client.post(PATH, json={"n": number})

        with ThreadPoolExecutor(32) as pool:
            answers = list(pool.map(call, range(CALLS)))
    accepted = [one for one in answers if one.status_code == 200]
    refused = [one for one in answers if one.status_code != 200]
    assert all((one.status_code, "Retry-After" in one.headers) == (503, True) for one in refused)
    assert len({one.json()["id"] for one in accepted}) == len(accepted)
    wait_for(lambda: total(service), lambda found: found == before + len(accepted))


@pytest.mark.e2e
def test_calls_that_were_accepted_before_a_crash_have_run_after_it(service: Service) -> None:
    before = total(service)
    with httpx2.Client(base_url=service.url, timeout=60, trust_env=False) as client:
        ids = [client.post(PATH, json={"n": n}).json()["id"] for n in range(40)]
    service.kill()
    service.start()
    assert {service.ended(one)["state"]["current"] for one in ids} == {"SUCCESS"}
    assert total(service) == before + len(ids)


def test_when_too_many_starts_wait_a_call_is_refused_with_503() -> None:
    sent: list[dict[str, Any]] = []
    full = SimpleNamespace(executor=SimpleNamespace(waiting=START_QUEUE))
    fire_webhook(cast("Room", full), {}, Answer(sent.append, 7))
    [answer] = sent
    assert (answer["call"], answer["status"]) == (7, 503)
    assert "try again" in answer["error"]


@pytest.mark.e2e
@pytest.mark.parametrize("length", [27 << 20, 100_000_000])
def test_a_body_that_is_too_large_is_one_clear_answer(service: Service, length: int) -> None:
    before = total(service)
    answer = service.post(PATH, content=b"x" * length)
    assert answer.status_code == 413
    assert "26 MiB" in answer.json()["message"]
    assert service.post(PATH, content=b"small").status_code == 200
    wait_for(lambda: total(service), lambda found: found == before + 1)


@pytest.mark.e2e
def test_a_body_in_pieces_without_a_length_ends_at_the_limit_too(service: Service) -> None:
    pieces = (b"x" * (1 << 20) for _ in range(100))
    assert service.post(PATH, content=pieces).status_code == 413


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("content", "kind", "expected"),
    [
        (b'{"a": 1}', "application/json", '{"a":1}'),
        (b"a=1&b=2", "application/x-www-form-urlencoded", "a=1&b=2"),
        (b"just text", "text/plain", "just text"),
        (b'{"a": ', "application/json", '{"a": '),
    ],
)
def test_a_body_is_json_or_the_text_as_it_came(
    service: Service, content: bytes, kind: str, expected: str
) -> None:
    answer = service.post(PATH, content=content, headers={"Content-Type": kind})
    ended = service.ended(answer.json()["id"])
    lines = service.get(f"/api/v1/logs/{ended['id']}").json()
    assert [line["message"] for line in lines] == [expected]


@pytest.mark.e2e
def test_a_condition_that_raises_starts_nothing_and_disturbs_nobody(service: Service) -> None:
    path = PATH.replace("hook/secret", "raising/secret")
    assert service.post(path, json={}).status_code == 204
    assert service.post(PATH, json={}).status_code == 200
    assert total(service, "raising") == 0
    assert "a condition of webhook hook counts as false" in service.said()


@pytest.mark.e2e
def test_an_unknown_key_is_404_for_every_method_and_the_key_is_in_no_log(service: Service) -> None:
    for method in ("GET", "POST", "PUT"):
        assert service.request(method, PATH + "x").status_code == 404
        assert service.request(method, PATH).status_code == 200
    assert "secret-key" not in service.said()


@pytest.mark.e2e
def test_a_webhook_that_is_switched_off_does_not_answer_until_it_is_on_again(
    service: Service,
) -> None:
    trigger = {"namespace": "team", "flowId": "hook", "triggerId": "hook"}
    for disabled, status in ((True, 409), (False, 200)):
        asked = {"triggers": [trigger], "disabled": disabled}
        service.post("/api/v1/triggers/set-disabled/by-triggers", json=asked)
        assert service.post(PATH, json={}).status_code == status
