"""Secrets in outputs, as the API shows them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.api.building import CIPHER, NOON, Web, build, run

from penstock_runner.engine.state import Execution, State

HAND = """
id: hand
namespace: team
inputs: [{id: pin, type: SECRET}]
tasks:
  - {id: give, type: io.kestra.plugin.core.debug.Return, format: "{{ secret('TOKEN') }}"}
"""
PLAIN = """
id: plain
namespace: team
tasks:
  - {id: give, type: io.kestra.plugin.core.debug.Return, format: "a value"}
"""
DYNAMIC = """
id: dynamic
namespace: team
tasks:
  - {id: give, type: io.kestra.plugin.core.debug.Return, format: "{{ secret(inputs.name) }}"}
"""
SECRETS = {"TOKEN": "hunter-22", "OTHER": "a value"}


def ended(web: Web, flow_id: str) -> Execution:
    give = run(
        "give",
        State.CREATED,
        State.RUNNING,
        State.SUCCESS,
        outputs={"value": "hunter-22", "deep": [{"pin": "pin 4711", "other": "a value"}]},
    )
    execution = Execution(
        id=f"x-{flow_id}",
        namespace="team",
        flow_id=flow_id,
        flow_revision=1,
        history=((State.CREATED, NOON), (State.SUCCESS, NOON)),
        runs={give.key: give},
        inputs={"pin": CIPHER.encrypt("4711"), "url": "https://u:hunter-22@host"},
        outputs={"all": "Bearer aHVudGVyLTIy"},
        labels={"with": "hunter-22"},
    )
    web.core.put(execution)
    return execution


def shown(tmp_path: Path, source: str, flow_id: str) -> tuple[Web, str, Any]:
    web = build(tmp_path, secrets=SECRETS)
    web.save(source)
    execution = ended(web, flow_id)
    return web, execution.id, web.client.get(f"/api/v1/executions/{execution.id}").json


def test_secrets_that_a_flow_names_are_hidden_in_its_outputs(tmp_path: Path) -> None:
    web, execution_id, answer = shown(tmp_path, HAND, "hand")
    [give] = answer["taskRunList"]
    hidden = {"value": "******", "deep": [{"pin": "pin ******", "other": "a value"}]}
    assert give["outputs"] == hidden
    assert answer["outputs"] == {"all": "Bearer ******"}
    assert answer["inputs"]["url"] == "https://u:******@host"
    assert {"key": "with", "value": "******"} in answer["labels"]
    shown_page = web.client.get(f"/executions/team/hand/{execution_id}").text
    assert "hunter" not in shown_page
    page = web.client.get("/api/v1/executions/search?namespace=team").json["results"]
    assert page[0]["taskRunList"][0]["outputs"] == hidden
    apart = web.client.get(f"/api/v1/outputs/tasks/{execution_id}/{give['id']}").json
    assert apart == hidden
    said = web.client.post(
        f"/api/v1/executions/{execution_id}/eval/{give['id']}", data="{{ outputs.give.value }}"
    )
    assert said.json == {"result": "******"}


def test_secrets_are_hidden_in_the_values_of_a_loop(tmp_path: Path) -> None:
    web, execution_id, _ = shown(tmp_path, HAND, "hand")
    execution = web.core.get(execution_id)
    [give] = execution.runs.values()
    looped = {give.key: replace(give, value="hunter-22")}
    web.core.put(replace(execution, id="x-loop", runs=looped))
    answer = web.client.get("/api/v1/executions/x-loop").json
    assert [run["value"] for run in answer["taskRunList"]] == ["******"]


def test_what_is_stored_stays_as_it_is_for_later_tasks(tmp_path: Path) -> None:
    web, execution_id, _ = shown(tmp_path, HAND, "hand")
    [give] = web.core.get(execution_id).runs.values()
    assert give.outputs is not None
    assert give.outputs["value"] == "hunter-22"


def test_a_flow_that_names_no_secret_shows_its_outputs_as_they_are(tmp_path: Path) -> None:
    _, _, answer = shown(tmp_path, PLAIN, "plain")
    assert answer["taskRunList"][0]["outputs"]["value"] == "hunter-22"


def test_all_secrets_are_hidden_where_a_flow_works_the_name_out(tmp_path: Path) -> None:
    _, _, answer = shown(tmp_path, DYNAMIC, "dynamic")
    assert answer["taskRunList"][0]["outputs"]["deep"][0]["other"] == "******"
