"""What the end of a task counts as, once the allowances of its author are applied."""

from __future__ import annotations

from collections.abc import Mapping

from penstock_runner.engine.state import State
from penstock_runner.flow.model import Task


def allows_failure(task: Task, exit_code: int | None = None) -> bool:
    """Whether a failure of the task lets the flow go on, with this exit code."""
    said = task.allow_failure
    if isinstance(said, Mapping):
        codes = said.get("exitCodes")
        return isinstance(codes, list | tuple) and exit_code in codes
    return said


def allowed(task: Task, state: State, exit_code: int | None = None) -> State:
    """FAILED becomes WARNING with `allowFailure`, WARNING becomes SUCCESS with `allowWarning`."""
    if state is State.FAILED and allows_failure(task, exit_code):
        state = State.WARNING
    if state is State.WARNING and task.allow_warning:
        state = State.SUCCESS
    return state
