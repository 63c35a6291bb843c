"""The ways in which flows are really written load without a fault, old spellings with a warning."""

from __future__ import annotations

from datetime import timedelta

import pytest

from penstock_runner.flow.faults import Fault, Severity
from penstock_runner.flow.model import Flow
from penstock_runner.flow.parse import parse_flow
from penstock_runner.tasks.registry import Registry
from penstock_runner.tasks.validation import all_faults

REGISTRY = Registry()
HEAD = "id: real-use_1.0\nnamespace: company.team\n"
LOG = "  - {id: hello, type: io.kestra.plugin.core.log.Log, message: hi}\n"


def read(text: str) -> tuple[Flow, list[Fault]]:
    parsed = parse_flow(text)
    faults = list(all_faults(parsed, REGISTRY))
    errors = [str(fault) for fault in faults if fault.severity is Severity.ERROR]
    assert not errors
    assert parsed.effective is not None
    return parsed.effective, faults


def codes(text: str) -> set[str]:
    return {fault.code for fault in read(text)[1]}


@pytest.mark.parametrize(
    "part",
    [
        "description: |\n  A text\n  of *two* lines {{ not rendered",
        "labels: {env: prod, n: 1}",
        "labels:\n  - {key: env, value: prod}",
        "variables:\n  file: '{{ inputs.taxi }}.csv'\n  nested: {a: [1, 2]}",
        "concurrency: {limit: 2}",
        "concurrency: {limit: 1, behavior: CANCEL}",
        "sla:\n  - {id: slow, type: MAX_DURATION, duration: PT1H, behavior: FAIL}",
        "errors:\n" + LOG.replace("hello", "failed"),
        "finally:\n" + LOG.replace("hello", "always"),
        "afterExecution:\n" + LOG.replace("hello", "after"),
        "outputs:\n  - {id: out, type: STRING, value: '{{ outputs.hello }}'}",
        "retry: {type: constant, interval: PT10S, maxAttempts: 3}",
        "retry: {type: exponential, interval: PT1S, maxInterval: PT1M, maxAttempts: 3}",
        "retry:\n  type: random\n  minInterval: PT1S\n  maxInterval: PT9S\n  maxAttempts: 3",
        "retry:\n  type: constant\n  interval: PT1S\n  maxAttempts: 2\n"
        "  behavior: CREATE_NEW_EXECUTION",
        "inputs:\n  - {id: day, type: DATE, defaults: 2024-01-01}",
        "inputs:\n  - {id: a, type: SELECT, values: [x, y], allowCustomValue: true}",
        "inputs:\n  - {id: a, type: ARRAY, itemType: STRING, defaults: '[\"a\"]'}",
        "inputs:\n  - {id: a, type: INT, min: 1, max: 9, required: false, displayName: Number}",
        "inputs:\n  - {id: a, type: BOOL, defaults: yes}\n  - {id: b, type: STRING,"
        " dependsOn: {inputs: [a], condition: '{{ inputs.a }}'}}",
        "inputs:\n  - {id: a, type: FILE}\n  - {id: b, type: URI}\n  - {id: c, type: JSON,"
        " defaults: '{\"a\": 1}'}",
        "triggers:\n  - {id: t, type: io.kestra.plugin.core.trigger.Schedule, cron: '@daily'}",
        "triggers:\n  - {id: t, type: io.kestra.plugin.core.trigger.Schedule, cron:"
        " '0 9 * * MON-FRI', timezone: Europe/Paris, inputs: {taxi: green}, disabled: true}",
        "triggers:\n  - {id: t, type: io.kestra.plugin.core.trigger.Webhook, key: abc}",
        "triggers:\n  - id: t\n    type: io.kestra.plugin.core.trigger.Flow\n    conditions:\n"
        "      - {type: io.kestra.plugin.core.condition.ExecutionFlow, namespace: a, flowId: b}\n"
        "      - {type: io.kestra.plugin.core.condition.ExecutionStatus, in: [SUCCESS]}",
        "pluginDefaults:\n  - {type: io.kestra.plugin.core.log.Log, values: {level: WARN}}",
        "pluginDefaults:\n  - {type: io.kestra.plugin.gcp, values: {projectId: x}}",
        "pluginDefaults:\n  - type: io.kestra.plugin.jdbc.postgresql\n    values:\n"
        "      url: jdbc:postgresql://db/x\n      username: u\n      password: p",
    ],
)
def test_parts_of_a_flow_load_without_a_fault(part: str) -> None:
    assert codes(f"{HEAD}{part}\ntasks:\n{LOG}") == set()


@pytest.mark.parametrize(
    "task",
    [
        "type: io.kestra.plugin.core.flow.If\n    condition: \"{{ inputs.a == 'x' }}\"\n    then:\n"
        "      - {id: a, type: io.kestra.plugin.core.debug.Return, format: x}",
        "type: io.kestra.plugin.core.flow.ForEach\n    values: [a, b]\n    concurrencyLimit: 0\n"
        "    tasks:\n      - {id: a, type: io.kestra.plugin.core.debug.Return, format: x}",
        "type: io.kestra.plugin.core.flow.ForEach\n    values: '{{ outputs.x }}'\n"
        "    tasks:\n      - {id: x, type: io.kestra.plugin.core.debug.Return}",
        "type: io.kestra.plugin.core.flow.Subflow\n    namespace: company.team\n    flowId: other\n"
        "    inputs: {a: 1}\n    wait: true\n    transmitFailed: true",
        "type: io.kestra.plugin.core.flow.WorkingDirectory\n    tasks:\n"
        "      - {id: a, type: io.kestra.plugin.scripts.shell.Commands, commands: [ls]}",
        "type: io.kestra.plugin.core.flow.Pause\n    onResume:\n      - {id: why, type: STRING}",
        "type: io.kestra.plugin.core.http.Request\n    uri: https://example.org\n    method: POST\n"
        "    contentType: application/json\n    headers: {a: b}\n    body: '{\"a\": 1}'",
        "type: io.kestra.plugin.core.http.Download\n    uri: https://example.org/a.csv",
        "type: io.kestra.plugin.core.kv.Set\n    key: a\n    value: '{{ 1 }}'\n    kvType: STRING",
        "type: io.kestra.plugin.core.output.OutputValues\n    values: {a: '{{ taskrun.value }}'}",
        "type: io.kestra.plugin.core.execution.Labels\n    labels: {a: '{{ inputs.a }}'}",
        "type: io.kestra.plugin.core.storage.PurgeCurrentExecutionFiles",
        "type: io.kestra.plugin.scripts.python.Script\n    containerImage: python:3.11-slim\n"
        "    taskRunner: {type: io.kestra.plugin.scripts.runner.docker.Docker, networkMode: host}\n"
        "    beforeCommands: [pip install requests]\n    env: {A: \"{{ secret('A') }}\"}\n"
        "    inputFiles: {data.csv: '{{ inputs.a }}'}\n    outputFiles: ['*.csv', 'a.txt']\n"
        "    namespaceFiles: {enabled: true, include: ['a/*']}\n"
        "    script: |\n      import os\n      print(f'{os.environ}')",
        "type: io.kestra.plugin.scripts.python.Commands\n    commands: [python main.py]\n"
        "    taskRunner: {type: io.kestra.plugin.core.runner.Process}",
        "type: io.kestra.plugin.scripts.shell.Commands\n    commands:\n      - >-\n"
        "        echo one\n        two\n      - |-\n        echo {{ inputs.a }}\n    timeout: PT5M",
        "type: io.kestra.plugin.jdbc.postgresql.Query\n    url: jdbc:postgresql://db/x\n"
        "    sql: |\n      select 1\n    fetchType: FETCH_ONE",
        "type: io.kestra.plugin.git.Clone\n    url: https://example.org/a.git\n    branch: main",
        "type: io.kestra.plugin.core.debug.Return\n    format: x\n    allowFailure: true\n"
        "    disabled: false\n    runIf: '{{ inputs.a is defined }}'\n    logLevel: DEBUG",
    ],
)
def test_tasks_load_without_a_fault(task: str) -> None:
    assert codes(f"{HEAD}tasks:\n  - id: it\n    {task}\n") == set()


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (f"{HEAD}inputs:\n  - {{name: old, type: STRING}}\ntasks:\n{LOG}", "DEPRECATED_PROPERTY"),
        (
            f"{HEAD}taskDefaults:\n  - {{type: io.kestra.plugin.core.log.Log,"
            f" values: {{level: WARN}}}}\ntasks:\n{LOG}",
            "DEPRECATED_PROPERTY",
        ),
        (HEAD + "tasks:\n" + LOG.replace("plugin.core.log", "core.tasks.log"), "DEPRECATED_TYPE"),
        (
            f"{HEAD}tasks:\n  - {{id: it, type: io.kestra.plugin.fs.http.Download, uri: x}}",
            "DEPRECATED_TYPE",
        ),
        (
            f"{HEAD}tasks:\n{LOG}triggers:\n  - {{id: t, cron: '@hourly',"
            " type: io.kestra.core.models.triggers.types.Schedule}",
            "DEPRECATED_TYPE",
        ),
        (
            f"{HEAD}tasks:\n  - {{id: it, type: io.kestra.plugin.aws.s3.Upload, bucket: b}}",
            "TYPE_NOT_AVAILABLE",
        ),
    ],
)
def test_old_and_foreign_names_load_with_a_warning(text: str, code: str) -> None:
    assert codes(text) == {code}


@pytest.mark.parametrize("name", ["maxAttempt", "maxAttempts"])
def test_both_spellings_of_the_attempts_count(name: str) -> None:
    retry = f"retry: {{type: constant, interval: PT10S, {name}: 4}}"
    flow, _ = read(f"{HEAD}{retry}\ntasks:\n{LOG}")
    assert flow.retry is not None
    assert (flow.retry.max_attempts, flow.retry.interval) == (4, timedelta(seconds=10))


def test_old_names_mean_the_present_ones() -> None:
    flow, _ = read(HEAD + "tasks:\n" + LOG.replace("plugin.core.log", "core.tasks.log"))
    assert flow.tasks[0].kind == "io.kestra.plugin.core.log.Log"
    old, _ = read(f"{HEAD}inputs:\n  - {{name: old, type: STRING}}\ntasks:\n{LOG}")
    assert old.inputs[0].id == "old"


def test_defaults_reach_the_tasks_under_both_names() -> None:
    for name in ("pluginDefaults", "taskDefaults"):
        default = "{type: io.kestra.plugin.core.log, values: {level: WARN}}"
        flow, _ = read(f"{HEAD}{name}:\n  - {default}\ntasks:\n{LOG}")
        assert flow.tasks[0].properties["level"] == "WARN"


def test_scalars_are_what_their_author_meant() -> None:
    text = f"{HEAD}variables: {{day: 2024-01-01, no: no, off: False, none: null, v: 1.10}}\n"
    flow, _ = read(f"{text}tasks:\n{LOG}")
    assert flow.variables["day"] == "2024-01-01"
    assert flow.variables["off"] is False
    assert flow.variables["none"] is None


@pytest.mark.parametrize(
    ("key", "meant"),
    [("pluginsDefaults", "pluginDefaults"), ("desciption", "description"), ("task", "tasks")],
)
def test_misspelt_flow_properties_name_the_right_one(key: str, meant: str) -> None:
    faults = all_faults(parse_flow(f"{HEAD}{key}: x\ntasks:\n{LOG}"), REGISTRY)
    assert [(f.code, f.hint) for f in faults] == [("UNKNOWN_PROPERTY", f"did you mean '{meant}'?")]


@pytest.mark.parametrize("prefix", ["\ufeff", "---\n", "# a comment\n\n"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_marks_of_editors_change_nothing(prefix: str, ending: str) -> None:
    text = f"{prefix}{HEAD}tasks:\n{LOG}".replace("\n", ending)
    flow, faults = read(text)
    assert (flow.id, faults) == ("real-use_1.0", [])
