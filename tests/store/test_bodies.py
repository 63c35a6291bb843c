"""Bodies: every event comes back from its text, and text that JSON cannot hold is made legible."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest

from penstock_runner.engine import events as e
from penstock_runner.engine.state import Execution, State, TaskRun
from penstock_server.store import bodies

NOON = datetime(2026, 3, 1, 12, 0, 0, 5, tzinfo=UTC)
EVENTS = get_args(e.Event)


def sample(hint: Any) -> Any:
    """A value of the annotation."""
    if get_origin(hint) in (Union, UnionType):
        hint = next(option for option in get_args(hint) if option is not type(None))
    if get_origin(hint) is Mapping:
        return {"n": [1, None, {"x": "\u2603"}]}
    if get_origin(hint) is tuple:
        parts = get_args(hint)
        return tuple(sample(parts[0] if part is Ellipsis else part) for part in parts)
    if is_dataclass(hint) and isinstance(hint, type):
        hints = get_type_hints(hint)
        return hint(**{item.name: sample(hints[item.name]) for item in fields(hint)})
    known = {datetime: NOON, State: State.WARNING, int: 7, str: "text", bool: True}
    return known.get(getattr(hint, "__supertype__", hint))


@pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: kind.__name__)
def test_every_event_comes_back(kind: type[Any]) -> None:
    event = sample(kind)
    assert None not in [getattr(event, item.name) for item in fields(kind)]
    assert bodies.event_from_json(bodies.event_to_json(event)) == event


def test_every_field_of_a_task_run_comes_back() -> None:
    run = sample(TaskRun)
    text = bodies.run_to_json(run)
    assert bodies.run_from_json(text, key=run.key, task_id=run.task_id, order=run.order) == run


def test_every_field_of_an_execution_comes_back() -> None:
    whole = sample(Execution)
    columns = ("id", "namespace", "flow_id", "flow_revision", "version", "runs")
    known = {name: getattr(whole, name) for name in columns}
    assert bodies.execution_from_json(bodies.execution_to_json(whole), **known) == whole


def test_what_an_event_leaves_out_comes_back_as_its_default() -> None:
    few = (
        e.Resumed(at=NOON),
        e.KillRequested(at=NOON),
        e.TimerFired(at=NOON, key=None, attempt=0, purpose=""),
        e.JobEnded(at=NOON, key="a", attempt=1, state=State.SUCCESS, outputs={}),
    )
    assert bodies.events_from_json(bodies.events_to_json(few)) == few
    assert "reason" not in bodies.event_to_json(few[1])


@pytest.mark.parametrize(
    "value",
    [
        {"big": 1 << 100, "list": [-(1 << 70)]},
        {"text": 'caf\u00e9 \u2603 \U0001f600 \x00 \\ "'},
        {"float": 1e300, "none": None, "deep": {"a": [{}, []]}},
    ],
)
def test_plain_data_comes_back(value: Any) -> None:
    assert bodies.loads(bodies.dumps(value)) == value


def test_what_json_cannot_hold_becomes_text_that_it_can() -> None:
    odd = {1: "one", "half": "a\ud800b", "set": {3}, "at": NOON, "kind": object}
    found = bodies.loads(bodies.dumps({**odd, "big": 1 << 70}))
    assert (found["1"], found["half"], found["set"]) == ("one", "a?b", [3])
    assert (found["at"], found["big"]) == (NOON.isoformat(), 1 << 70)
    assert "object" in found["kind"]
