from __future__ import annotations

from datetime import timedelta

import pytest
from tests.flow.shelf import LOG, RETURN, a_log, codes, flow_text, read, told

from penstock_runner.flow.defaults import Default
from penstock_runner.flow.faults import Severity
from penstock_runner.flow.parse import parse_documents, parse_flow

FULL = """\
id: one
namespace: team.sub
labels: {team: data, n: 1, on: true}
inputs:
  - {id: who, type: STRING, defaults: world, validator: "[a-z]+"}
variables: {greeting: {text: hello}}
tasks:
  - id: outer
    type: io.kestra.plugin.core.flow.Switch
    value: "{{ inputs.who }}"
    cases:
      a:
        - {id: first, type: io.kestra.plugin.core.log.Log, message: hi, runIf: "true"}
    defaults:
      - id: graph
        type: io.kestra.plugin.core.flow.Dag
        tasks:
          - task: {id: left, type: io.kestra.plugin.core.log.Log, message: l}
          - task: {id: right, type: io.kestra.plugin.core.log.Log, message: r}
            dependsOn: [left]
  - id: last
    type: io.kestra.core.tasks.log.Log
    message: {nested: {type: data}}
    timeout: 60
    retry: {type: constant, interval: PT15M, maxAttempt: 5}
    when: "{{ true }}"
errors:
  - {id: sorry, type: io.kestra.plugin.core.log.Log, message: sorry}
finally:
  - {id: end, type: io.kestra.plugin.core.log.Log, message: end}
triggers:
  - {id: daily, type: io.kestra.plugin.core.trigger.Schedule, cron: "0 9 * * *", inputs: {who: me}}
concurrency: {limit: 2, behavior: CANCEL}
outputs:
  - {id: out, type: STRING, value: "{{ outputs.last.value }}"}
"""


def test_a_flow_becomes_typed_values() -> None:
    parsed = parse_flow(FULL, "one.yml")
    flow = parsed.flow
    assert flow is not None
    assert parsed.errors == ()
    assert (flow.id, flow.namespace) == ("one", "team.sub")
    assert flow.labels == {"team": "data", "n": "1", "on": "true"}
    assert flow.inputs[0].options == {"validator": "[a-z]+"}
    switch, last = flow.tasks
    assert list(switch.branches) == ["cases.a", "defaults"]
    assert switch.properties == {"value": "{{ inputs.who }}"}
    graph = switch.branches["defaults"][0]
    assert [task.id for task in graph.branches["tasks"]] == ["left", "right"]
    assert graph.depends_on == {"right": ("left",)}
    assert (last.type, last.kind) == ("io.kestra.core.tasks.log.Log", LOG)
    assert last.properties == {"message": {"nested": {"type": "data"}}}
    assert (last.timeout, last.run_if) == ("60", "{{ true }}")
    assert last.retry is not None
    assert last.retry.max_attempts == 5
    assert last.retry.interval == timedelta(minutes=15)
    assert [task.id for task in flow.walk()][-2:] == ["sorry", "end"]
    assert flow.triggers[0].inputs == {"who": "me"}
    assert flow.triggers[0].properties == {"cron": "0 9 * * *"}
    assert flow.source == FULL


def test_old_spellings_are_read_and_reported_as_warnings() -> None:
    text = flow_text(
        f"""
        - id: old
          type: io.kestra.core.tasks.log.Log
          message: hi
          retry: {{type: constant, interval: PT1S, maxAttempt: 3}}
        - {{id: echo, type: io.kestra.plugin.core.debug.Echo, format: x}}
        - {{id: new, type: {LOG}, message: hi}}
        """,
        """
        inputs: [{name: who, type: BOOLEAN}]
        taskDefaults: [{type: io.kestra, values: {}}]
        listeners: [{tasks: [{id: l, type: io.kestra.plugin.core.log.Log, message: hi}]}]
        labels: [{key: a, value: 1}]
        """,
    )
    parsed = parse_flow(text)
    assert parsed.flow is not None
    assert parsed.flow.inputs[0].id == "who"
    assert parsed.flow.labels == {"a": "1"}
    assert {f.severity for f in parsed.faults} == {Severity.WARNING}
    assert sorted(f.pointer for f in parsed.faults) == [
        "/inputs/0/name",
        "/inputs/0/type",
        "/listeners",
        "/taskDefaults",
        "/tasks/0",
        "/tasks/0/retry/maxAttempt",
        "/tasks/1",
    ]


def test_all_faults_come_at_once_each_at_its_place() -> None:
    text = """\
id: one
namespace: Team
tusks: []
inputs:
  - {id: a b, type: STRNG}
tasks:
  - id: it
    type: io.kestra.plugin.core.flow.Parallel
    tsks: []
    retry: {type: constnt, interval: PT}
  - 5
"""
    parsed = parse_flow(text, "one.yml")
    assert parsed.flow is None
    assert [(f.code, f.line) for f in parsed.faults] == [
        ("BAD_NAMESPACE", 2),
        ("UNKNOWN_PROPERTY", 3),
        ("BAD_ID", 5),
        ("BAD_VALUE", 5),
        ("UNKNOWN_PROPERTY", 9),
        ("BAD_VALUE", 10),
        ("BAD_VALUE", 10),
        ("WRONG_TYPE", 11),
    ]
    hints = [f.hint for f in parsed.faults if f.hint]
    assert hints[:3] == [
        "did you mean 'tasks'?",
        "did you mean 'STRING'?",
        "did you mean 'tasks'?",
    ]
    assert str(parsed.faults[1]).startswith("one.yml:3:1 UNKNOWN_PROPERTY")


def test_a_misspelt_property_is_not_missing_as_well() -> None:
    text = flow_text(a_log()).replace("tasks:", "tusks:")
    assert told(text)[0][:2] == ("UNKNOWN_PROPERTY", 3)
    assert len(told(text)) == 1


def test_unknown_properties_pass_when_reading_is_not_strict() -> None:
    text = flow_text(a_log(), "tusks: 1")
    assert parse_flow(text).flow is None
    assert parse_flow(text, strict=False).flow is not None


def test_the_effective_flow_has_defaults_and_the_written_one_has_not() -> None:
    text = flow_text(
        f"- {{id: it, type: {RETURN}}}",
        f"""
        pluginDefaults:
          - {{type: {RETURN}, values: {{format: flow}}}}
        """,
    )
    everywhere = (Default(type="io.kestra", values={"format": "global", "description": "all"}),)
    parsed = parse_flow(text, global_defaults=everywhere)
    assert parsed.flow is not None
    assert parsed.effective is not None
    assert parsed.flow.tasks[0].properties == {}
    assert parsed.effective.tasks[0].properties == {"format": "flow"}
    assert parsed.effective.tasks[0].description == "all"


def test_a_default_that_breaks_a_task_is_an_error() -> None:
    text = flow_text(a_log(), "pluginDefaults: [{type: io.kestra, values: {timeout: soon}}]")
    assert [f.code for f in parse_flow(text).errors] == ["BAD_VALUE"]


def test_several_documents_are_several_flows() -> None:
    text = flow_text(a_log()) + "---\n" + flow_text(a_log()).replace("one", "two") + "---\n"
    first, second = parse_documents(text, "f.yml")
    assert first.flow is not None
    assert second.flow is not None
    assert (first.flow.id, second.flow.id) == ("one", "two")
    assert parse_flow(text).flow is None


def test_a_namespace_may_come_from_outside() -> None:
    parsed = parse_flow(flow_text(a_log()).replace("namespace: team\n", ""), namespace="dir.team")
    assert parsed.flow is not None
    assert parsed.flow.namespace == "dir.team"


def test_the_revision_is_the_servers_and_leaves_the_source() -> None:
    parsed = parse_flow("revision: 4\n" + flow_text(a_log()))
    assert parsed.flow is not None
    assert parsed.flow.revision == 4
    assert parsed.flow.source == flow_text(a_log())


def test_an_empty_file_and_a_file_of_something_else_are_faults() -> None:
    assert [f.code for f in parse_flow("").faults] == ["YAML_SYNTAX"]
    assert [f.code for f in parse_flow("- 1").faults] == ["WRONG_TYPE"]


def test_two_spellings_of_one_thing_on_one_task_are_refused() -> None:
    assert codes(flow_text(a_log(more='runIf: "a", when: "b"'))) == ["BAD_VALUE"]
    both = "runsOn: gpu, workerGroup: {key: gpu}"
    assert codes(flow_text(a_log(more=both))) == ["CONFLICTING_ROUTING"]


def test_properties_of_a_type_that_is_no_flowable_stay_plain_data() -> None:
    text = flow_text("- {id: it, type: com.acme.Group, tasks: [{id: 'x y'}]}")
    parsed, faults = read(text)
    assert parsed.flow is not None
    assert parsed.flow.tasks[0].properties == {"tasks": [{"id": "x y"}]}
    assert [f.code for f in faults] == ["UNKNOWN_TASK_TYPE"]


def test_a_place_is_given_even_for_what_is_missing() -> None:
    assert told("id: one\nnamespace: team\ntasks:\n  - type: a\n")[0][:2] == (
        "MISSING_PROPERTY",
        4,
    )


@pytest.mark.parametrize(
    "said", ["killGrace: PT6M", "killGrace: -PT1S", "idleTimeout: -PT1S", "queueTimeout: soon"]
)
def test_a_time_to_wait_that_cannot_be_is_refused(said: str) -> None:
    assert codes(flow_text(a_log(more=said))) == ["BAD_VALUE"]


def test_times_to_wait_are_read() -> None:
    more = "killGrace: PT5M, idleTimeout: PT30S, queueTimeout: PT0S"
    flow = read(flow_text(a_log(more=more)))[0].flow
    assert flow is not None
    [task] = flow.tasks
    assert (task.kill_grace, task.idle_timeout) == (timedelta(minutes=5), timedelta(seconds=30))
    assert task.queue_timeout == timedelta()
