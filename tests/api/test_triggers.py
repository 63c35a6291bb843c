from __future__ import annotations

import base64
import hmac
from datetime import timedelta

import pytest
from tests.api.building import NOON, Web

from penstock_server.api.webhook_rules import signed

HOOK = """id: greet
namespace: team
tasks:
  - {id: hello, type: io.kestra.plugin.core.log.Log, message: hi}
triggers:
  - {id: hook, type: io.kestra.plugin.core.trigger.Webhook, key: "{{ flow.id }}-key"}
"""
PATH = "/api/v1/executions/webhook/team/greet/greet-key"


def test_a_webhook_starts_its_flow_with_what_was_sent(web: Web) -> None:
    web.save(HOOK)
    answer = web.client.put(f"{PATH}?a=1&a=2", json=[{"a": 1}], headers={"X-Mine": "m"})
    assert answer.status_code == 200
    variables = answer.json["trigger"]["variables"]
    assert variables["body"] == [{"a": 1}]
    assert variables["parameters"] == {"a": ["1", "2"]}
    assert variables["headers"]["X-Mine"] == ["m"]
    assert web.client.get(PATH).json["trigger"]["variables"]["body"] is None


def test_a_webhook_that_is_not_there_is_404(web: Web) -> None:
    missing = web.client.post(PATH)
    assert (missing.status_code, missing.json["message"]) == (404, "Not Found: Flow not found")
    web.save(HOOK)
    wrong = web.client.post(PATH + "x")
    assert (wrong.status_code, wrong.json["message"]) == (404, "Not Found: Webhook not found")


def test_a_disabled_flow_or_trigger_does_not_answer(web: Web) -> None:
    web.save(HOOK.replace('-key"}', '-key", disabled: true}'))
    assert web.client.post(PATH).status_code == 409
    web.core.flow_disable(namespace="team", id="greet", disabled=True)
    answer = web.client.post(PATH)
    assert answer.status_code == 409
    assert "Cannot execute a disabled flow" in answer.json["message"]


BODY_DIGEST = hmac.digest(b"s3cret", b"body", "sha256").hex()


def standard(secret: bytes) -> dict[str, str]:
    moment = str(int(NOON.timestamp()))
    digest = hmac.digest(secret, f"m1.{moment}.body".encode(), "sha256")
    return {
        "webhook-id": "m1",
        "webhook-timestamp": moment,
        "webhook-signature": "v1," + base64.b64encode(digest).decode(),
    }


@pytest.mark.parametrize(
    ("wanted", "headers"),
    [
        ({"forge": "github"}, {"X-Hub-Signature-256": f"sha256={BODY_DIGEST}"}),
        ({"forge": "gitlab"}, {"X-Gitlab-Token": "s3cret"}),
        ({"forge": "gitea"}, {"X-Gitea-Signature": BODY_DIGEST}),
        ({"forge": "forgejo"}, {"X-Forgejo-Signature": BODY_DIGEST}),
        ({"forge": "bitbucket"}, {"X-Hub-Signature": f"sha256={BODY_DIGEST}"}),
        ({"forge": "generic"}, {"X-Signature-256": f"sha256={BODY_DIGEST}"}),
        ({}, {"X-Signature-256": BODY_DIGEST}),
        ({}, standard(b"s3cret")),
        ({}, {"X-Signature-256": f"sha256={BODY_DIGEST}"}),
        ({"header": "X-Mine", "prefix": "v="}, {"X-Mine": f"v={BODY_DIGEST}"}),
        ({"forge": "github", "header": "X-Mine"}, {"X-Mine": BODY_DIGEST}),
        (
            {"header": "X-Mine", "algorithm": "sha512", "encoding": "base64"},
            {"X-Mine": base64.b64encode(hmac.digest(b"s3cret", b"body", "sha512")).decode()},
        ),
    ],
)
def test_a_signature_that_is_asked_for_is_checked(
    wanted: dict[str, str], headers: dict[str, str]
) -> None:
    assert signed(wanted, ["new", "s3cret"], b"body", headers, NOON)
    assert not signed(wanted, ["wrong", ""], b"body", headers, NOON)
    assert not signed(wanted, ["new", "s3cret"], b"body", {}, NOON)
    if wanted.get("forge") != "gitlab":
        assert not signed(wanted, ["new", "s3cret"], b"other", headers, NOON)


def test_a_call_that_was_signed_long_ago_proves_nothing() -> None:
    late = NOON + timedelta(minutes=6)
    assert not signed({}, ["s3cret"], b"body", standard(b"s3cret"), late)


def test_a_flow_with_a_signature_is_started_by_any_of_its_secrets_and_by_nobody_else(
    web: Web,
) -> None:
    web.save(hook("    signature: {forge: github, secret: [new, '{{ flow.id }}-old']}\n"))
    right = {"X-Hub-Signature-256": "sha256=" + hmac.digest(b"greet-old", b"{}", "sha256").hex()}
    wrong = {"X-Hub-Signature-256": "sha256=" + hmac.digest(b"other", b"{}", "sha256").hex()}
    assert web.client.post(PATH, data=b"{}", headers=wrong).status_code == 401
    assert web.client.post(PATH, data=b"{}").status_code == 401
    assert [name for name, _ in web.core.calls] == ["flow.save"]
    assert web.client.post(PATH, data=b"{}", headers=right).status_code == 200


def test_an_algorithm_that_is_not_known_proves_nothing() -> None:
    assert not signed({"algorithm": "md5"}, ["s"], b"body", {"X-Signature-256": "x"}, NOON)


def test_triggers_are_listed_with_their_definition(web: Web) -> None:
    web.save(HOOK)
    web.trigger("hook")
    web.trigger("other", execution_id="x1")
    found = web.client.get("/api/v1/triggers/search").json
    assert found["total"] == 2
    assert found["results"][0]["abstractTrigger"]["id"] == "hook"
    assert found["results"][1]["triggerContext"]["executionId"] == "x1"
    assert web.client.get("/api/v1/triggers/team/greet?q=oth").json["total"] == 1
    assert web.client.get("/api/v1/triggers/search?page=0").status_code == 422


def test_only_a_locked_trigger_is_unlocked(web: Web) -> None:
    web.trigger("t1", execution_id="x1")
    unlock = "/api/v1/triggers/team/greet/t1/unlock"
    assert "executionId" not in web.client.post(unlock).json
    again = web.client.post(unlock)
    assert again.status_code == 409
    assert again.json["message"] == "Illegal state: Trigger is not locked"
    assert web.client.post("/api/v1/triggers/team/greet/t9/unlock").status_code == 404
    body = [{"namespace": "team", "flowId": "greet", "triggerId": "t1"}]
    assert web.client.post("/api/v1/triggers/unlock/by-triggers", json=body).json == {"count": 0}


def test_triggers_are_switched(web: Web) -> None:
    web.save(HOOK)
    web.trigger("hook")
    web.trigger("t2", disabled=True)
    name = {"namespace": "team", "flowId": "greet", "triggerId": "hook"}
    assert web.client.put("/api/v1/triggers", json={**name, "disabled": True}).json["disabled"]
    both = {"triggers": [name, {**name, "triggerId": "t2"}], "disabled": False}
    switch = "/api/v1/triggers/set-disabled"
    assert web.client.post(f"{switch}/by-triggers", json=both).json == {"count": 2}
    query = f"{switch}/by-query?namespace=team&disabled=true"
    assert web.client.post(query).json == {"count": 2}
    missing = web.client.put("/api/v1/triggers", json={**name, "triggerId": "t9"})
    assert missing.status_code == 404
    assert "Flow greet has no trigger t9" in missing.json["message"]
    for bad in ([], {"triggers": [1], "disabled": True}, {"triggers": [], "disabled": "x"}):
        assert web.client.post(f"{switch}/by-triggers", json=bad).status_code == 422


def test_a_backfill_must_be_there_to_be_paused(web: Web) -> None:
    web.trigger("t1")
    web.trigger("t2", backfill={"start": "x"})
    name = {"namespace": "team", "flowId": "greet", "triggerId": "t1"}
    answer = web.client.put("/api/v1/triggers/backfill/pause", json=name)
    assert answer.status_code == 400
    assert "No backfill found" in answer.json["message"]
    query = "/api/v1/triggers/backfill/pause/by-query?namespace=team"
    assert web.client.post(query).json == {"count": 1}
    assert web.client.post(query.replace("pause", "dance")).status_code == 404


def test_a_webhook_whose_conditions_do_not_hold_starts_nothing(web: Web) -> None:
    condition = (
        "    conditions:\n"
        "      - type: io.kestra.plugin.core.condition.Expression\n"
        "        expression: \"{{ trigger.body.hello == 'world' }}\"\n"
    )
    web.save(
        HOOK.split("triggers:", maxsplit=1)[0]
        + "triggers:\n  - id: hook\n    type: io.kestra.plugin.core.trigger.Webhook\n"
        + "    key: greet-key\n"
        + condition
    )
    assert web.client.post(PATH, json={"hello": "world"}).status_code == 200
    assert web.client.post(PATH, json={"hello": "webhook"}).status_code == 204
    assert web.client.post(PATH).status_code == 204


def hook(more: str) -> str:
    start = HOOK.split("triggers:", maxsplit=1)[0]
    trigger = "triggers:\n  - id: hook\n    type: io.kestra.plugin.core.trigger.Webhook\n"
    return f"{start}{trigger}    key: greet-key\n{more}"


KIND = "io.kestra.plugin.core.condition"


@pytest.mark.parametrize(
    ("condition", "status"),
    [
        (f"{{type: {KIND}.ExecutionNamespace, namespace: team}}", 200),
        (f"{{type: {KIND}.ExecutionNamespace, namespace: other}}", 204),
        (f"{{type: {KIND}.DayWeek, date: '{{{{ trigger.body.day }}}}', dayOfWeek: MONDAY}}", 200),
        (f"{{type: {KIND}.DayWeek, date: '{{{{ trigger.body.no }}}}', dayOfWeek: MONDAY}}", 204),
        (f"{{type: {KIND}.Not, conditions: [{{type: {KIND}.Weekend, date: '2026-03-02'}}]}}", 200),
        (f"{{id: m, type: {KIND}.MultipleCondition, conditions: {{}}}}", 409),
    ],
)
def test_conditions_of_every_type_decide(web: Web, condition: str, status: int) -> None:
    web.save(hook(f"    conditions:\n      - {condition}\n"))
    assert web.client.post(PATH, json={"day": "2026-03-02"}).status_code == status
