"""Sequential and AllowFailure: one child after the other."""

from __future__ import annotations

from penstock_runner.engine.flowables.api import Flowable
from penstock_runner.engine.state import State
from penstock_runner.flow.model import Task


def _forgiving(_task: Task, _branch: str | None, state: State) -> State:
    return State.WARNING if state is State.FAILED else state


SEQUENTIAL = Flowable()
ALLOW_FAILURE = Flowable(result=_forgiving)
