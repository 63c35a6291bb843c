"""Executions, task runs and events as JSON text: what the `body` columns hold.

A body names the fields of its value and leaves out those at their default; what has a column of
its own (`id`, `namespace`, `key`, `order` ...) is not repeated. Instants are ISO text.

JSON is orjson's. What orjson cannot write (numbers over 64 bit, text that is no Unicode, keys that
are no text) is cleaned and written by the slow writer; such text begins with a blank, by which
`loads` knows it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from datetime import datetime
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import orjson

from penstock_runner.engine import events as e
from penstock_runner.engine.state import (
    Attempt,
    Execution,
    History,
    RunKey,
    State,
    TaskRun,
    TriggerOrigin,
)

Body = dict[str, Any]

_EVENTS: dict[str, type[Any]] = {kind.__name__: kind for kind in get_args(e.Event)}


def dumps(value: object) -> str:
    """JSON text of plain data."""
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        return " " + json.dumps(_clean(value), ensure_ascii=False)


def loads(text: str) -> Any:
    """The data of a text that `dumps` wrote."""
    return json.loads(text) if text.startswith(" ") else orjson.loads(text)


def legible(text: str) -> str:
    """The text without what a database cannot hold: zero bytes and halves of surrogate pairs."""
    if "\x00" not in text:
        if text.isascii():
            return text
        try:
            text.encode()
        except UnicodeEncodeError:
            pass
        else:
            return text
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


def _clean(value: object) -> object:
    match value:
        case str():
            return legible(str(value))
        case None | bool() | int() | float():
            return value
        case datetime():
            return value.isoformat()
        case Mapping():
            return {legible(str(key)): _clean(item) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_clean(item) for item in value]
        case _ if is_dataclass(value):
            return {item.name: _clean(getattr(value, item.name)) for item in fields(value)}
        case _:
            return legible(str(value))


def execution_to_json(execution: Execution) -> str:
    """The body of an execution: everything but its columns and its task runs."""
    return dumps(_body(execution, _EXECUTION))


def execution_from_json(
    text: str,
    *,
    id: str,  # noqa: A002 - the field's name
    namespace: str,
    flow_id: str,
    flow_revision: int,
    version: int,
    runs: Mapping[RunKey, TaskRun],
) -> Execution:
    """The execution of a row."""
    body: Body = loads(text)
    trigger = body.get("trigger")
    return Execution(
        id=id,
        namespace=namespace,
        flow_id=flow_id,
        flow_revision=flow_revision,
        history=_history(body["history"]),
        runs=runs,
        inputs=body.get("inputs"),
        outputs=body.get("outputs"),
        labels=body.get("labels", {}),
        variables=body.get("variables"),
        trigger=TriggerOrigin(**trigger) if trigger is not None else None,
        parent_id=body.get("parent_id"),
        original_id=body.get("original_id"),
        attempt_number=body.get("attempt_number", 1),
        original_created=_instant(body.get("original_created")),
        schedule_date=_instant(body.get("schedule_date")),
        facts=body.get("facts", {}),
        version=version,
    )


def run_to_json(run: TaskRun) -> str:
    """The body of a task run: everything but its key, task and order."""
    return dumps(_body(run, _RUN))


def run_from_json(text: str, *, key: str, task_id: str, order: int) -> TaskRun:
    """The task run of a row."""
    body: Body = loads(text)
    values = body.get("values")
    return TaskRun(
        key=RunKey(key),
        task_id=task_id,
        order=order,
        history=_history(body["history"]),
        parent=body.get("parent"),
        value=body.get("value"),
        place=tuple(body.get("place", ())),
        iteration=body.get("iteration"),
        attempt=body.get("attempt", 0),
        attempts=tuple(_attempt(item) for item in body.get("attempts", ())),
        outputs=body.get("outputs"),
        values=tuple(values) if values is not None else None,
        branch=body.get("branch"),
        child_execution=body.get("child_execution"),
        lost=body.get("lost", 0),
        facts=body.get("facts", {}),
    )


def events_to_json(events: Sequence[e.Event]) -> str:
    """The body of one row of `execution_events`."""
    return dumps([event_body(event) for event in events])


def events_from_json(text: str) -> tuple[e.Event, ...]:
    """The events of a row, in their order."""
    return tuple(_event(body) for body in loads(text))


def event_to_json(event: e.Event) -> str:
    """One event as text."""
    return dumps(event_body(event))


def event_from_json(text: str) -> e.Event:
    """The event of a text that `event_to_json` wrote."""
    return _event(loads(text))


def event_body(event: e.Event) -> Body:
    """One event as plain data: its type, and its fields that are not at their default."""
    kind = type(event)
    return {"type": kind.__name__, **_body(event, _DEFAULTS[kind])}


def _event(body: Body) -> e.Event:
    name = body.pop("type")
    readers = _READERS[name]
    event: e.Event = _EVENTS[name](**{key: readers[key](value) for key, value in body.items()})
    return event


Defaults = tuple[tuple[str, object], ...]


def _body(value: object, defaults: Defaults) -> Body:
    body = {}
    for name, default in defaults:
        item = getattr(value, name)
        if item is not default and item != default:
            body[name] = item
    return body


def _defaults(kind: type[Any]) -> Defaults:
    """Fields with their defaults; one that must be given has a default that nothing equals."""
    return tuple(
        (
            item.name,
            item.default_factory()
            if item.default_factory is not MISSING
            else (object() if item.default is MISSING else item.default),
        )
        for item in fields(kind)
    )


def _readers(kind: type[Any]) -> dict[str, Callable[[Any], Any]]:
    hints = get_type_hints(kind)
    return {item.name: _reader(hints[item.name]) for item in fields(kind)}


def _reader(hint: Any) -> Callable[[Any], Any]:
    """How a value of this annotation comes back from JSON; None is never written, so never read."""
    if get_origin(hint) in (Union, UnionType):
        [hint] = [option for option in get_args(hint) if option is not type(None)]
    if get_origin(hint) is tuple:
        return _tuple(get_args(hint))
    if is_dataclass(hint) and isinstance(hint, type):
        return _whole(hint)
    if hint is datetime:
        return datetime.fromisoformat
    if hint is State:
        return State
    return _same


def _tuple(parts: tuple[Any, ...]) -> Callable[[Any], Any]:
    """How a tuple comes back: any number of one kind, or one of each."""
    readers = [_reader(part) for part in parts if part is not Ellipsis]
    if Ellipsis in parts:
        return lambda items: tuple(readers[0](item) for item in items)
    return lambda items: tuple(read(item) for read, item in zip(readers, items, strict=True))


def _whole(kind: type[Any]) -> Callable[[Any], Any]:
    """How a value inside an event comes back; unlike an event it is written with all its fields."""
    readers = _readers(kind)

    def read(body: Body) -> Any:
        known = {name: item for name, item in body.items() if item is not None}
        return kind(**{name: readers[name](item) for name, item in known.items()})

    return read


def _same(value: Any) -> Any:
    return value


_DEFAULTS: dict[type[Any], Defaults] = {kind: _defaults(kind) for kind in _EVENTS.values()}
_READERS = {name: _readers(kind) for name, kind in _EVENTS.items()}
_EXECUTION = tuple(
    (name, default)
    for name, default in _defaults(Execution)
    if name not in {"id", "namespace", "flow_id", "flow_revision", "runs", "version"}
)
_RUN = tuple(
    (name, default)
    for name, default in _defaults(TaskRun)
    if name not in {"key", "task_id", "order"}
)


def _attempt(body: Body) -> Attempt:
    return Attempt(
        number=body["number"],
        history=_history(body["history"]),
        log_file=body.get("log_file"),
        notes=body.get("notes"),
        reason=body.get("reason"),
    )


def _history(steps: Sequence[tuple[str, str]]) -> History:
    return tuple((State(state), datetime.fromisoformat(at)) for state, at in steps)


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
