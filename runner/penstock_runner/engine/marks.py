"""A person says how a task run ends, or that it runs again; what follows it runs.

What a failure has cut off is taken up, too. A task run that runs again takes along what has failed
in its way, as a restart does: else the execution would end again before it has run.
"""

from __future__ import annotations

from dataclasses import replace

from penstock_runner.engine import events as e
from penstock_runner.engine.cuts import cut
from penstock_runner.engine.draft import Draft
from penstock_runner.engine.flowables.api import Role
from penstock_runner.engine.groups import WORK
from penstock_runner.engine.plan import TASKS, Plan
from penstock_runner.engine.reopening import (
    again,
    between,
    cancel,
    open_around,
    restarted,
)
from penstock_runner.engine.state import TERMINAL, Execution, State, TaskRun
from penstock_runner.engine.way import STOPS, clear_the_way

_OPEN_AGAIN = frozenset({State.CREATED, State.RUNNING, State.RESTARTED})
# The states that a task run can be given.
MARKS = _OPEN_AGAIN | TERMINAL


def mark(draft: Draft, event: e.TaskRunMarked) -> None:
    """A task run ends as a person says or runs again, and what follows it runs."""
    run = draft.runs.get(event.key)
    if run is None or unmarkable(draft.plan, draft.head, run, event.state) is not None:
        return
    opens = event.state in _OPEN_AGAIN
    if _after_the_end(draft.plan, run):
        _end(draft, run, event.state)
        return
    cancel(draft, run)
    stage = open_around(draft, run)
    clear_the_way(draft, run, STOPS if opens else frozenset())
    if opens:
        again(draft, draft.runs[run.key])
    else:
        _end(draft, draft.runs[run.key], event.state)
    restarted(draft, stage)


def unmarkable(plan: Plan, execution: Execution, run: TaskRun, state: State) -> str | None:
    """Why the task run cannot be given this state."""
    node = plan.node_of(run.key)
    around = plan.node(node.parent)
    if state not in MARKS:
        names = ", ".join(sorted(MARKS))
        return f"Task run '{run.key}' cannot be given the state '{state}', only {names}"
    if execution.state is State.KILLING:
        return "The execution is being killed: change its task runs when it has ended"
    if between(execution):
        return "Tasks still run after the end of the execution: change its task runs after them"
    if around.role is Role.DIRECTORY and node.stage == TASKS:
        return (
            f"Task '{run.task_id}' is a part of the one job of '{around.task.id}': "
            f"change the state of '{around.task.id}'"
        )
    if _after_the_end(plan, run) and state in _OPEN_AGAIN:
        return f"Task '{run.task_id}' runs after the end of the execution: restart or replay that"
    return None


def _after_the_end(plan: Plan, run: TaskRun) -> bool:
    node = plan.node_of(run.key)
    return any(each.stage not in WORK for each in (node, *plan.parents(node.id)))


def _end(draft: Draft, run: TaskRun, state: State) -> None:
    """End a task run and its last attempt; what still runs below it is left behind."""
    group = draft.groups.get(run.key)
    if group is not None:
        cut(draft, group)
        run = draft.runs[run.key]
    attempts = run.attempts
    if attempts:
        last = attempts[-1]
        history = (*last.history, (state, draft.at))
        attempts = (*attempts[:-1], replace(last, history=history))
    facts = {name: fact for name, fact in run.facts.items() if name not in ("held", "gate", "cut")}
    draft.move(run, state, attempts=attempts, facts=facts)
