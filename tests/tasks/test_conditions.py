"""Conditions hold as the language says."""

from __future__ import annotations

from typing import Any

import pytest
from tests.tasks.context import NOON, REGISTRY, Templates

from penstock_runner.engine.state import Attempt, Execution, RunKey, State, TaskRun
from penstock_runner.tasks.api import TaskFailed
from penstock_runner.tasks.conditions import evaluate


def execution(state: State = State.RUNNING, *attempts: State, **labels: str) -> Execution:
    run = TaskRun(
        key=RunKey("t"),
        task_id="t",
        order=0,
        history=((state, NOON),),
        attempts=tuple(
            Attempt(number=n, history=((attempt, NOON),)) for n, attempt in enumerate(attempts, 1)
        ),
    )
    return Execution(
        id="x",
        namespace="io.test.deep",
        flow_id="mock",
        flow_revision=1,
        history=((state, NOON),),
        runs={run.key: run},
        labels=labels,
    )


def holds(
    kind: str,
    about: Execution | None = None,
    outputs: dict[str, Any] | None = None,
    **properties: object,
) -> bool:
    date = {"date": "2026-03-01T12:00:00Z"}
    return evaluate(
        {"type": f"io.kestra.plugin.core.condition.{kind}", **properties},
        Templates({"trigger": date, "flow": {"id": "mock"}}),
        REGISTRY.load,
        namespace="io.own",
        flow_id="own",
        execution=about,
        outputs=outputs,
    )


LATER = "2020-01-01T00:00:00Z"
ON_MONDAY = {"dayOfWeek": "MONDAY"}


@pytest.mark.parametrize(
    ("kind", "properties", "expected"),
    [
        ("DateTimeBetween", {"after": "2026-03-01T11:00:00Z"}, True),
        ("DateTimeBetween", {"after": "2026-03-01T12:00:00Z"}, False),
        ("DateTimeBetween", {"before": "2026-03-01T14:00:00+01:00"}, True),
        ("DateTimeBetween", {"date": "2013-09-08T16:19:12+02:00", "after": LATER}, False),
        ("TimeBetween", {"after": "11:00:00Z", "before": "14:00:00+01:00"}, True),
        ("TimeBetween", {"after": "11:00:00-06:00"}, False),
        ("DayWeek", {"dayOfWeek": "SUNDAY"}, True),
        ("DayWeek", {"dayOfWeek": "MONDAY"}, False),
        ("DayWeek", {"dayOfWeek": "SUNDAY", "date": "2013-09-08"}, True),
        ("DayWeekInMonth", {"dayOfWeek": "SUNDAY", "dayInMonth": "FIRST"}, True),
        ("DayWeekInMonth", {"date": "2021-04-26", **ON_MONDAY, "dayInMonth": "LAST"}, True),
        ("DayWeekInMonth", {"date": "2021-04-26", **ON_MONDAY, "dayInMonth": "FOURTH"}, True),
        ("DayWeekInMonth", {"date": "2021-04-19", **ON_MONDAY, "dayInMonth": "LAST"}, False),
        ("Weekend", {}, True),
        ("Weekend", {"date": "2026-03-02"}, False),
        ("Expression", {"expression": "{{ flow.id }}"}, True),
        ("Expression", {"expression": " false "}, False),
        ("Expression", {"expression": " "}, False),
        ("FlowCondition", {"namespace": "io.own", "flowId": "own"}, True),
        ("FlowNamespaceCondition", {"namespace": "io", "prefix": True}, True),
        ("FlowNamespaceCondition", {"namespace": "io"}, False),
    ],
)  # fmt: skip
def test_conditions_on_dates_and_flows(
    kind: str, properties: dict[str, object], expected: bool
) -> None:
    assert holds(kind, **properties) is expected


@pytest.mark.parametrize(
    ("kind", "properties", "expected"),
    [
        ("ExecutionFlow", {"namespace": "io.test.deep", "flowId": "mock"}, True),
        ("ExecutionFlow", {"namespace": "io.test", "flowId": "mock"}, False),
        ("ExecutionNamespace", {"namespace": "io.test.deep"}, True),
        ("ExecutionNamespace", {"namespace": "io.te", "prefix": True}, True),
        ("ExecutionNamespace", {"namespace": "io.te", "comparison": "PREFIX"}, True),
        ("ExecutionNamespace", {"namespace": "deep", "prefix": True, "comparison": "SUFFIX"}, True),
        ("ExecutionStatus", {"in": ["FAILED"]}, True),
        ("ExecutionStatus", {"in": ["SUCCESS"]}, False),
        ("ExecutionStatus", {"notIn": ["FAILED"]}, False),
        ("ExecutionLabels", {"labels": {"a": "1"}}, True),
        ("ExecutionLabels", {"labels": [{"key": "a", "value": "2"}]}, False),
        ("HasRetryAttempt", {"in": ["KILLED"]}, True),
        ("HasRetryAttempt", {"in": ["RUNNING"]}, False),
        ("ExecutionOutputs", {"expression": "yes"}, False),
    ],
)
def test_conditions_on_executions(kind: str, properties: dict[str, object], expected: bool) -> None:
    about = execution(State.FAILED, State.KILLED, State.SUCCESS, a="1", b="2")
    assert holds(kind, about, **properties) is expected


def test_outputs_count_when_there_are_some() -> None:
    assert holds("ExecutionOutputs", execution(), {"a": 1}, expression="true")
    assert not holds("ExecutionOutputs", execution(), {"a": 1}, expression="false")
    assert not holds("ExecutionOutputs", execution(), expression="{{ trigger.outputs.a }}")
    with pytest.raises(TaskFailed, match="expression: Unable to find"):
        holds("ExecutionOutputs", execution(), {"a": 1}, expression="{{ trigger.outputs.a }}")


SUNDAY = {"type": "io.kestra.plugin.core.condition.DayWeek", "dayOfWeek": "SUNDAY"}
MONDAY = {"type": "io.kestra.core.models.conditions.types.DayWeekCondition", "dayOfWeek": "MONDAY"}


def test_conditions_in_conditions() -> None:
    assert holds("Or", conditions=[MONDAY, SUNDAY])
    assert not holds("Or", conditions=[MONDAY])
    assert holds("Not", conditions=[MONDAY])
    assert not holds("Not", conditions=[MONDAY, SUNDAY])
    assert not holds("MultipleCondition", conditions={"a": MONDAY, "b": SUNDAY})


def test_what_cannot_be_told_is_an_error() -> None:
    with pytest.raises(TaskFailed, match="Invalid condition with null execution"):
        holds("ExecutionStatus", **{"in": ["FAILED"]})
    with pytest.raises(TaskFailed, match="Invalid condition with no before nor after"):
        holds("DateTimeBetween")
    with pytest.raises(TaskFailed, match="is no date"):
        holds("Weekend", date="yesterday")


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({"date": "2024-07-14", "country": "FR"}, True),
        ({"date": "2024-07-15", "country": "fr"}, False),
        ({"date": "2024-01-06", "country": "DE", "subDivision": "BY"}, True),
        ({"date": "2024-01-06", "country": "DE"}, False),
        ({"date": "2024-07-04"}, True),
        ({"country": "FR"}, False),
    ],
)
def test_public_holidays_are_those_of_a_country_and_its_parts(
    properties: dict[str, object], expected: bool
) -> None:
    pytest.importorskip("holidays", reason="holidays is not installed")
    assert holds("PublicHoliday", **properties) is expected


def test_a_country_that_nobody_knows_cannot_be_judged() -> None:
    pytest.importorskip("holidays", reason="holidays is not installed")
    with pytest.raises(TaskFailed, match="No holidays are known for QQ"):
        holds("PublicHoliday", country="QQ")
