"""Properties are read as flow files write them, and rendered as their fields say."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

import pytest
from pydantic import ValidationError
from tests.tasks.context import Templates

from penstock_runner.tasks.api import Properties, Raw, TaskFailed, TaskProperties, Typed
from penstock_runner.tasks.binding import bind
from penstock_runner.tasks.registry import Registry


class Nested(Properties):
    """A group."""

    wait_for: timedelta | None = None
    name: str | None = None


class Sample(TaskProperties):
    """One field of each kind."""

    text: str = "{{ defaulted }}"
    number: int | None = None
    on: bool = False
    texts: tuple[str, ...] = ()
    map: Mapping[str, str] | None = None
    wait: timedelta | None = None
    at: datetime | None = None
    choice: Literal["A", "B"] = "A"
    nested: Nested | None = None
    typed: Annotated[object, Typed()] = None
    raw: Annotated[str | None, Raw()] = None
    anything: object = None


VARIABLES: dict[str, Any] = {
    "defaulted": "default", "n": 3, "list": '["a", "b"]', "json": '{"a": 1}', "wait": "PT5M",
    "yes": "true", "data": {"a": [1]}, "blank": "",
}  # fmt: skip


def sample(**properties: object) -> Sample:
    return bind(Sample, properties, Templates(VARIABLES))


@pytest.mark.parametrize(
    ("name", "written", "expected"),
    [
        ("text", 3, "3"),
        ("text", True, "true"),
        ("text", {"a": "{{ n }}"}, '{"a": "3"}'),
        ("number", "{{ n }}", 3),
        ("number", " 7 ", 7),
        ("number", "{{ blank }}", None),
        ("on", "{{ yes }}", True),
        ("texts", "{{ list }}", ("a", "b")),
        ("texts", ["{{ n }}", 4, True], ("3", "4", "true")),
        ("map", "{{ json }}", {"a": "1"}),
        ("map", {"{{ n }}": "{{ n }}", "b": 2}, {"3": "3", "b": "2"}),
        ("wait", "{{ wait }}", timedelta(minutes=5)),
        ("wait", 90, timedelta(seconds=90)),
        ("wait", "90", timedelta(seconds=90)),
        ("at", "2024-01-02T03:04:05Z", datetime.fromisoformat("2024-01-02T03:04:05Z")),
        ("nested", {"waitFor": "{{ wait }}"}, Nested(wait_for=timedelta(minutes=5))),
        ("nested", '{"name": "x"}', Nested(name="x")),
        ("typed", "{{ data }}", {"a": [1]}),
        ("typed", "a {{ n }}", "a 3"),
        ("raw", "{{ data }}", "{{ data }}"),
        ("anything", {"a": ["{{ n }}"]}, {"a": ["3"]}),
        ("choice", "B", "B"),
    ],
)
def test_a_property_is_rendered_and_converted(name: str, written: object, expected: object) -> None:
    assert getattr(sample(**{name: written}), name) == expected


def test_a_default_that_is_an_expression_is_rendered() -> None:
    assert sample().text == "default"
    assert sample(text="own").text == "own"


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ({"number": "many"}, "`number` must be a whole number, not 'many'"),
        ({"texts": "plain"}, "`texts` must be a list"),
        ({"map": [1]}, "`map` must be a map"),
        ({"wait": "soon"}, "`wait` must be a duration such as PT5M, not 'soon'"),
        ({"choice": "C"}, "`choice` input should be 'A' or 'B', not 'C'"),
        ({"nested": {"other": 1}}, "`nested.other` is not a known property"),
        ({"number": "a", "wait": "b"}, "`number` .*; `wait` "),
        ({"map": {"a": "{{ gone }}"}}, "map: Unable to find `gone`"),
    ],
)
def test_what_does_not_fit_names_its_property(written: dict[str, object], message: str) -> None:
    with pytest.raises(TaskFailed, match=message):
        sample(**written)


def properties(name: str, **written: object) -> Any:
    return Registry().load(f"io.kestra.plugin.{name}").model_validate(written)


def test_triggers_are_read() -> None:
    schedule = properties("core.trigger.Schedule", cron="@daily", lateMaximumDelay="PT1H")
    assert schedule.late_maximum_delay == timedelta(hours=1)
    flow = properties(
        "core.trigger.Flow",
        preconditions={
            "id": "p",
            "timeWindow": {"type": "DAILY_TIME_DEADLINE", "deadline": "09:00:00"},
            "flows": [{"namespace": "n", "flowId": "f", "states": ["SUCCESS"]}],
            "where": [{"id": "w", "filters": [
                {"field": "NAMESPACE", "type": "IN", "values": ["a"]}]}],
        },
    )  # fmt: skip
    assert flow.wanted.flows[0].flow_id == "f"
    assert flow.wanted.time_window.deadline.hour == 9
    assert properties("core.trigger.Flow").wanted is None
    dates = properties("core.trigger.ScheduleOnDates", dates='["2024-01-01T00:00:00Z"]').dates
    assert len(dates) == 1
    webhook = properties("core.trigger.Webhook", key="k", signature={"secret": "s"})
    assert webhook.signature.algorithm == "sha256"


def test_task_runners_are_read_strictly() -> None:
    docker = properties("scripts.runner.docker.Docker", memory={"memory": "512MB"}, cpu={"cpus": 1})
    assert docker.memory.memory == "512MB"
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        properties("core.runner.Process", anything=1)
