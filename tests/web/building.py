"""A web process with pages over a fresh store, and executions in every state."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from flask import Flask
from tests.api.building import NOON, Web, build

from penstock_runner.engine.state import Attempt, Execution, RunKey, State, TaskRun
from penstock_runner.executor.ids import ExecutionIds
from penstock_server.api import routes
from penstock_server.web import views

IDS = ExecutionIds()
HOSTILE = "<script>alert('x')</script>"

GREET = """
id: greet
namespace: team
description: Says hello
inputs:
  - {id: who, type: STRING, defaults: world, displayName: Who}
  - {id: number, type: INT, required: false}
  - {id: kind, type: SELECT, values: [short, long], defaults: short}
  - {id: loud, type: BOOLEAN, defaults: false}
tasks:
  - {id: hello, type: io.kestra.plugin.core.log.Log, message: "Hello {{ inputs.who }}"}
  - {id: bye, type: io.kestra.plugin.core.log.Log, message: "Bye"}
"""

ASK = """
id: ask
namespace: team
tasks:
  - id: wait
    type: io.kestra.plugin.core.flow.Pause
    onResume:
      - {id: reason, type: STRING}
  - {id: go, type: io.kestra.plugin.core.log.Log, message: "go"}
"""


def pages(tmp_path: Path, **settings: Any) -> Web:
    """A web process whose app has the pages too."""
    web = build(tmp_path, **settings)
    app = Flask("test", static_folder=None)
    routes.install(app, web.context)
    views.install(app, web.context)
    return replace(web, app=app, client=app.test_client())


def steps(*states: State, start: float = 0, each: float = 1) -> tuple[tuple[State, Any], ...]:
    """A history of one state a second (or every `each` seconds)."""
    return tuple(
        (state, NOON + timedelta(seconds=start + n * each)) for n, state in enumerate(states)
    )


def run(
    key: str, *states: State, order: int = 0, start: float = 0, each: float = 1, **more: Any
) -> TaskRun:
    """A task run that went through these states."""
    task = more.pop("task_id", key)
    return TaskRun(
        key=RunKey(key),
        task_id=task,
        order=order,
        history=steps(*states, start=start, each=each),
        **more,
    )


def attempt(number: int, start: float, end: float | None, state: State = State.SUCCESS) -> Attempt:
    """A try from one second to another; open when `end` is None."""
    history = [(State.RUNNING, NOON + timedelta(seconds=start))]
    if end is not None:
        history.append((state, NOON + timedelta(seconds=end)))
    return Attempt(number=number, history=tuple(history))


def execution(*runs: TaskRun, states: tuple[State, ...] = (), **more: Any) -> Execution:
    """An execution of team.greet, running unless told otherwise."""
    values: dict[str, Any] = {
        "id": IDS.new(NOON),
        "namespace": "team",
        "flow_id": "greet",
        "flow_revision": 1,
        "history": steps(*(states or (State.CREATED, State.RUNNING))),
    }
    return Execution(**{**values, "runs": {one.key: one for one in runs}, **more})
