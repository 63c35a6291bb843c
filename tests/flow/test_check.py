from __future__ import annotations

import pytest
from tests.flow.shelf import LOG, SHELL, a_log, codes, flow_text, read, told

from penstock_runner.flow.faults import Severity
from penstock_runner.flow.parse import parse_flow
from penstock_runner.flow.violations import dotted, joined_message, reference_path, violations

SUBFLOW = "io.kestra.plugin.core.flow.Subflow"
SCHEDULE = "io.kestra.plugin.core.trigger.Schedule"


def only(text: str) -> tuple[str, int, str]:
    """The one fault of a flow."""
    (fault,) = told(text)
    return fault


def test_a_good_flow_has_no_faults() -> None:
    assert told(flow_text(a_log())) == []


def test_an_unknown_type_comes_with_the_one_that_was_meant() -> None:
    _, (fault,) = read(flow_text("- {id: it, type: io.kestra.plugin.core.log.Lag}"))
    assert (fault.code, fault.message) == (
        "UNKNOWN_TASK_TYPE",
        "Invalid type: io.kestra.plugin.core.log.Lag",
    )
    assert fault.hint == f"did you mean '{LOG}'?"


def test_a_type_that_is_only_a_name_is_a_warning_and_its_properties_are_free() -> None:
    _, (fault,) = read(flow_text("- {id: it, type: io.kestra.plugin.aws.s3.Upload, x: {y: 1}}"))
    assert (fault.code, fault.severity) == ("TYPE_NOT_AVAILABLE", Severity.WARNING)


def test_properties_are_judged_against_the_type() -> None:
    text = flow_text(
        f"""
        - id: it
          type: {LOG}
          mesage: hi
          repeat: often
        """
    )
    assert [(code, line) for code, line, _ in told(text)] == [
        ("UNKNOWN_PROPERTY", 6),
        ("WRONG_TYPE", 7),
    ]


def test_a_value_that_is_rendered_later_is_not_judged() -> None:
    assert told(flow_text(a_log(more='repeat: "{{ inputs.n }}"'))) == []


def test_nested_properties_are_judged_at_their_place() -> None:
    text = flow_text(
        f"""
        - id: it
          type: {SHELL}
          commands: [echo]
          options:
            failFst: true
        """
    )
    assert only(text)[:2] == ("UNKNOWN_PROPERTY", 8)


def test_types_inside_properties_are_looked_up_at_any_depth() -> None:
    text = flow_text(
        f"""
        - id: it
          type: {SHELL}
          commands: [echo]
          taskRunner:
            type: io.kestra.plugin.core.runner.Process
            more: 1
        - id: other
          type: {SHELL}
          commands: [echo]
          taskRunner: {{type: io.kestra.plugin.nobody.Knows}}
        """
    )
    assert [(code, line) for code, line, _ in told(text)] == [
        ("UNKNOWN_PROPERTY", 9),
        ("UNKNOWN_TASK_TYPE", 13),
    ]


def test_a_default_may_give_what_a_task_lacks() -> None:
    defaults = f"pluginDefaults: [{{type: {LOG}, values: {{message: hi}}}}]"
    assert told(flow_text(f"- {{id: it, type: {LOG}}}", defaults)) == []
    by_prefix = "pluginDefaults: [{type: io.kestra, values: {message: hi, other: 1}}]"
    assert told(flow_text(f"- {{id: it, type: {LOG}}}", by_prefix)) == []


@pytest.mark.parametrize(
    ("default", "reason"),
    [
        (f"{{type: {LOG}}}", "No 'values' provided"),
        ("{values: {a: 1}}", "No 'type' provided"),
        (f"{{type: {LOG}, values: {{message: null}}}}", "No value provided for key 'message'"),
        (f"{{type: {LOG}, values: {{no: 1}}}}", f"No property 'no' exists in plugin '{LOG}'"),
    ],
)
def test_a_default_that_fits_nothing_is_refused(default: str, reason: str) -> None:
    text = flow_text(a_log(), f"pluginDefaults: [{default}]")
    assert only(text)[2] == f"Invalid Plugin Default: {reason}"


def test_ids_differ_over_all_parts_and_depths() -> None:
    text = flow_text(
        f"""
        {a_log("a")}
        - id: group
          type: io.kestra.plugin.core.flow.Sequential
          tasks:
            {a_log("a")}
        """,
        f"""
        errors:
          {a_log("group")}
        triggers:
          - {{id: a, type: {SCHEDULE}, cron: "@daily"}}
          - {{id: a, type: {SCHEDULE}, cron: "@daily"}}
        inputs: [{{id: x, type: INT}}, {{id: x, type: INT}}]
        outputs: [{{id: x, type: INT, value: 1}}, {{id: x, type: INT, value: 1}}]
        """,
    )
    _, faults = read(text)
    assert joined_message(faults) == (
        ": Invalid Flow: Duplicate task id with name [a, group],"
        " Duplicate trigger id with name [a], Duplicate input with name [x],"
        " Duplicate output with name [x]\n"
    )
    assert faults[0].line == 8
    assert faults[0].hint == "first at 4:10"


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        ("- {id: s, type: io.kestra.plugin.core.flow.Switch, value: a, cases: {}}", "s: No task"),
        ("- {id: w, type: io.kestra.plugin.core.flow.WorkingDirectory}", "w: The 'tasks' prop"),
        ("- {id: p, type: io.kestra.plugin.core.flow.Parallel}", "'tasks' must not be empty"),
        ("- {id: f, type: io.kestra.plugin.core.flow.ForEach}", "'values' must not be null"),
        ("- {id: d, type: io.kestra.plugin.core.flow.Dag, tasks: []}", "d: No task defined"),
        (f"- {{id: s, type: {SUBFLOW}, flowId: x}}", "'namespace' must not be null"),
        (f"- {{id: s, type: {SUBFLOW}, flowId: one, namespace: team}}", "Recursive call to flow"),
    ],
)
def test_flowables_have_their_own_rules(tasks: str, message: str) -> None:
    assert message in only(flow_text(tasks))[2]


def test_own_properties_of_a_flowable_are_judged_too() -> None:
    loop = "- {id: f, type: io.kestra.plugin.core.flow.ForEach, values: [1], concurrencyLimit: "
    assert only(flow_text(loop + "many}"))[0] == "WRONG_TYPE"
    assert told(flow_text(loop + "'{{ 2 }}'}")) == []


def dag(*edges: tuple[str, str]) -> str:
    nodes = "".join(
        f"    - task: {{id: {name}, type: {LOG}, message: x}}\n      dependsOn: [{wanted}]\n"
        for name, wanted in edges
    )
    return flow_text(f"- id: d\n  type: io.kestra.plugin.core.flow.Dag\n  tasks:\n{nodes}")


def test_a_dag_depends_on_what_is_there_and_not_on_itself() -> None:
    assert only(dag(("a", ""), ("b", "c")))[1:] == (
        10,
        "d: Not existing task id in dependency: c",
    )
    assert only(dag(("a", "b"), ("b", "a"), ("c", "a")))[2] == (
        "d: Cyclic dependency detected: a, b"
    )


def test_a_working_directory_holds_runnable_tasks_without_worker_groups() -> None:
    text = flow_text(
        f"""
        - id: w
          type: io.kestra.plugin.core.flow.WorkingDirectory
          tasks:
            - {{id: s, type: io.kestra.plugin.core.flow.Sequential, tasks: []}}
            {a_log("l", more="workerGroup: {key: gpu}")}
        """
    )
    assert [line for _, line, _ in told(text)] == [7, 8]


def test_system_labels_are_reserved() -> None:
    labels = "labels: {system.readOnly: true, system.id: x}"
    _, faults = read(flow_text(a_log(), labels))
    assert joined_message(faults) == (
        ": Invalid Flow: System labels can only be set by Kestra itself,"
        " offending label: system.id=x\n"
    )


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ("{id: a, type: STRING, validator: '('}", "invalid pattern [(]"),
        ("{id: a, type: FILE, defaults: x}", "no `defaults` can be set for inputs of type 'FILE'"),
        ("{id: a, type: ARRAY}", "'itemType' must not be null"),
        ("{id: a, type: ARRAY, itemType: ARRAY}", "a: `itemType` cannot be `ARRAY`"),
        ("{id: a, type: SELECT}", "you must define `values` or `expression`"),
        (
            "{id: a, type: MULTISELECT, values: [x], options: [x]}",
            "you can't define both `values` and `options`",
        ),
        (
            "{id: a, type: INT, dependsOn: {inputs: [b]}}",
            "Input with id 'a' depends on a non-existent input 'b'.",
        ),
        (
            "{id: a, type: INT, dependsOn: {inputs: [a]}}",
            "Cycle dependency detected for input with id 'a': [a]",
        ),
    ],
)
def test_inputs_have_their_own_rules(inputs: str, message: str) -> None:
    assert message in only(flow_text(a_log(), f"inputs: [{inputs}]"))[2]


@pytest.mark.parametrize(
    ("cron", "valid"),
    [
        ("0 9 * * MON-FRI", True),
        ("*/15 0-6,12 1 JAN 7", True),
        ("@hourly", True),
        ("@often", False),
        ("0 9 * *", False),
        ("0 0 9 * * *", False),
        ("60 * * * *", False),
        ("* * * * FRI-MON", False),
        ("* * ? * *", False),
        ("*/0 * * * *", False),
    ],
)
def test_a_cron_expression_is_checked(cron: str, valid: bool) -> None:
    trigger = f'triggers: [{{id: t, type: {SCHEDULE}, cron: "{cron}"}}]'
    assert codes(flow_text(a_log(), trigger)) == ([] if valid else ["BAD_CRON"])


@pytest.mark.parametrize(
    ("retry", "messages"),
    [
        ("{type: constant, interval: PT1S, maxAttempts: 3}", []),
        ("{type: constant}", ["'interval' must not be null"]),
        (
            "{type: constant, interval: PT10S, maxDuration: PT10S}",
            ["'interval' must be less than 'maxDuration' but is PT10S"],
        ),
        ("{type: constant, interval: PT1S, maxAttempts: 0}", ["'maxAttempts' must be greater"]),
    ],
)
def test_a_retry_policy_makes_sense(retry: str, messages: list[str]) -> None:
    found = [message for _, _, message in told(flow_text(a_log(more=f"retry: {retry}")))]
    assert len(found) == len(messages)
    assert all(a.startswith(b) for a, b in zip(found, messages, strict=True))


def test_a_flow_trigger_for_everything_is_a_warning() -> None:
    trigger = "triggers: [{id: t, type: io.kestra.plugin.core.trigger.Flow}]"
    _, (fault,) = read(flow_text(a_log(), trigger))
    assert fault.severity is Severity.WARNING
    assert "EVERY execution of EVERY flow" in fault.message


def test_preconditions_and_windows_are_checked_in_their_place() -> None:
    text = flow_text(
        a_log(),
        """
        triggers:
          - id: t
            type: io.kestra.plugin.core.trigger.Flow
            preconditions:
              id: p
              timeWindow: {type: SLIDING_WINDOW, deadline: "10:00:00"}
              where:
                - id: w
                  filters:
                    - {field: FLOW_ID, type: IN, value: x}
        """,
    )
    assert [line for _, line, _ in told(text)] == [11, 15]


def test_the_first_unreadable_thing_is_all_that_the_api_text_tells() -> None:
    text = flow_text(f"- {{id: a, type: nobody.Knows}}\n- {{id: b, type: {LOG}, no: 1}}")
    parsed, faults = read(text)
    assert len(faults) == 3
    assert [str(v) for v in violations(faults)] == [
        "tasks[0].type: Invalid type: nobody.Knows",
        "tasks[0].type: Could not resolve type id 'nobody.Knows'",
    ]
    assert reference_path(parsed.document.data, "/tasks/1/no") == (
        'io.kestra.core.models.flows.Flow["tasks"]->java.util.ArrayList[1]->' + f'{LOG}["no"]'
    )
    assert dotted("/tasks/1/cases/a~1b") == "tasks[1].cases.a/b"


def test_faults_of_one_file_are_bounded() -> None:
    keys = ", ".join(f"k{i}: 1" for i in range(1000))
    _, faults = read(flow_text(f"- {{id: it, type: {LOG}, message: x, {keys}}}"))
    assert len(faults) == 200


def test_a_text_that_is_no_yaml_is_told_with_its_line() -> None:
    parsed = parse_flow("id: a\nnamespace: team\ntasks:\n\t- id: b\n")
    assert [v.message for v in violations(parsed.faults)] == [
        "a tab cannot indent YAML: use spaces (line 4, column 1)"
    ]


def test_what_has_no_effect_is_told_at_its_place() -> None:
    more = "concurrency: {limit: 1, cancelInProgress: true, queue: latest}\nquota: {a: 1}"
    _, faults = read(flow_text(a_log(), more))
    assert {(fault.code, fault.severity) for fault in faults} == {("NO_EFFECT", Severity.WARNING)}
    assert {fault.pointer for fault in faults} == {"/quota"}
    assert told(flow_text(a_log(), "concurrency: {limit: 1, behavior: CANCEL}")) == []


def test_properties_of_tasks_without_effect_are_told_too() -> None:
    text = flow_text(
        """
  - {id: a, type: io.kestra.plugin.core.log.Log, message: a, version: "1.0"}
  - {id: b, type: io.kestra.plugin.core.flow.Subflow, namespace: team, flowId: c,
     restartBehavior: RETRY_FAILED}
"""
    )
    _, faults = read(text)
    assert {(fault.code, fault.pointer) for fault in faults} == {
        ("NO_EFFECT", "/tasks/0/version"),
        ("NO_EFFECT", "/tasks/1/restartBehavior"),
    }


def test_a_group_or_the_cancelling_of_older_ones_needs_no_limit() -> None:
    assert told(flow_text(a_log(), 'concurrency: {group: "{{ labels.env }}"}')) == []
    assert told(flow_text(a_log(), "concurrency: {cancelInProgress: true}")) == []
    [missing] = told(flow_text(a_log(), "concurrency: {queue: latest}"))
    assert "'limit' must not be null" in missing
    [unknown] = told(flow_text(a_log(), "concurrency: {limit: 1, queue: newest}"))
    assert "latest" in str(unknown)


def test_no_wait_is_longer_than_every_date_can_bear() -> None:
    text = flow_text(
        """
        - id: again
          type: io.kestra.plugin.core.log.Log
          message: x
          retry: {type: constant, interval: P3000000D, maxAttempts: 2}
        """,
        "sla: [{id: s, type: MAX_DURATION, duration: P3000000D, behavior: FAIL}]",
    )
    _, faults = read(text)
    wrong = {fault.pointer for fault in faults if fault.severity is Severity.ERROR}
    assert {"/tasks/0/retry/interval", "/sla/0/duration"} <= wrong
