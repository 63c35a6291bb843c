"""The inputs with which a paused execution goes on: what its Pause task declares in `onResume`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError

from penstock_runner.engine.state import Execution, RunKey, State
from penstock_runner.executor.context import ON_RESUME
from penstock_runner.executor.live import Live
from penstock_runner.executor.messages import Refused
from penstock_runner.flow.inputs import Render, resolve
from penstock_runner.flow.model import Input, Task

_COMMON = frozenset(
    {"id", "type", "description", "displayName", "required", "defaults", "prefill", "dependsOn"}
)


def asked_on_resume(task: Task) -> tuple[Input, ...]:
    """The inputs that a Pause task declares; raises `Refused` when they cannot be read."""
    listed = task.properties.get(ON_RESUME)
    return tuple(map(_input, listed)) if isinstance(listed, list | tuple) else ()


def resume_outputs(
    live: Live,
    given: Mapping[str, Any],
    *,
    render_typed: Render,
    encrypt: Callable[[str], str] | None = None,
) -> Mapping[str, object] | None:
    """The resolved inputs of the first pause, None when it asks for none; `Refused` when wrong."""
    asked = asked_on_resume(live.task(key)) if (key := first_paused(live.execution())) else ()
    if not asked:
        return None
    found = resolve(asked, given, render_typed=render_typed, encrypt=encrypt)
    if found.blocking:
        raise Refused(", ".join(error.message for error in found.blocking))
    return found.values


def first_paused(execution: Execution) -> RunKey | None:
    """The key of the task run that a resume is about."""
    paused = [run for run in execution.runs.values() if run.state is State.PAUSED]
    return min(paused, key=lambda run: run.order).key if paused else None


def _input(item: object) -> Input:
    if isinstance(item, Input):
        return item
    if not isinstance(item, Mapping):
        raise Refused("the pause declares its inputs in a way that cannot be read", status=409)
    options = {key: value for key, value in item.items() if key not in _COMMON}
    common = {key: value for key, value in item.items() if key in _COMMON}
    try:
        return Input(**common, options=options)
    except ValidationError as error:
        message = f"the pause declares its inputs wrongly: {error}"
        raise Refused(message, status=409) from None
