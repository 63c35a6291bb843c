"""The inputs with which a paused execution goes on: what its Pause task declares in `onResume`."""

from __future__ import annotations

from flask import Request
from pydantic import ValidationError

from penstock_runner.engine.state import Execution, State, TaskRun
from penstock_runner.flow.model import Flow, Input
from penstock_server.api.library import Library
from penstock_server.api.problems import conflict
from penstock_server.api.starts import Starts, given
from penstock_server.core.shapes import Json

_COMMON = frozenset(
    {"id", "type", "description", "displayName", "required", "defaults", "prefill", "dependsOn"}
)


def resume_inputs(
    library: Library,
    starts: Starts,
    execution: Execution,
    request: Request,
) -> Json | None:
    """The resolved inputs of the pause, None when it asks for none."""
    if execution.state is not State.PAUSED:
        raise conflict(f"Execution '{execution.id}' is not paused, can't resume it")
    declared = on_resume(library, execution)
    if not declared:
        return None
    place = (execution.namespace, execution.flow_id, execution.id)
    return starts.resolved(declared, given(request), place)


def on_resume(library: Library, execution: Execution) -> tuple[Input, ...]:
    """What the first paused task run asks for."""
    run = first_paused(execution)
    known = library.find(
        execution.namespace, execution.flow_id, execution.flow_revision, deleted=True
    )
    if run is None or known is None or known.flow is None:
        return ()
    return _declared(known.flow, run.task_id)


def first_paused(execution: Execution) -> TaskRun | None:
    """The task run that a resume is about."""
    runs = sorted(execution.runs.values(), key=lambda run: run.order)
    return next((run for run in runs if run.state is State.PAUSED), None)


def _declared(flow: Flow, task_id: str) -> tuple[Input, ...]:
    for task in flow.walk():
        if task.id == task_id:
            items = task.properties.get("onResume")
            return tuple(_input(item) for item in items) if isinstance(items, list | tuple) else ()
    return ()


def _input(item: object) -> Input:
    if isinstance(item, Input):
        return item
    if not isinstance(item, dict):
        raise conflict("the pause declares its inputs in a way that cannot be read")
    options = {key: value for key, value in item.items() if key not in _COMMON}
    common = {key: value for key, value in item.items() if key in _COMMON}
    try:
        return Input(**common, options=options)
    except ValidationError as error:
        raise conflict(f"the pause declares its inputs wrongly: {error}") from None
