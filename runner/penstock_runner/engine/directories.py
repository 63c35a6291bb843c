"""WorkingDirectory: one job that runs its children itself and tells how each of them ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from penstock_runner.engine import events as e
from penstock_runner.engine.draft import Draft, rounds_of
from penstock_runner.engine.plan import ERRORS, FINALLY, TASKS
from penstock_runner.engine.state import Attempt, RunKey, State, TaskRun


def reported(draft: Draft, event: e.ChildrenReported) -> None:
    """Write down the task runs of the children; those of an earlier attempt go on."""
    run = draft.runs.get(event.key)
    if run is None or run.attempt != event.attempt or run.state.terminal:
        return
    node = draft.node(run)
    known = {child.task.id: child.id for child in node.branches.get(TASKS, ())}
    suffix = "".join(f".{index}" for index in run.place) + rounds_of(run, node)
    for child in event.children:
        if child.task_id in known and child.history:
            _write(draft, run, RunKey(f"{known[child.task_id]}{suffix}"), child)


def _write(draft: Draft, run: TaskRun, key: RunKey, child: e.ChildEnd) -> None:
    before = draft.runs.get(key)
    if before is None:
        before = TaskRun(
            key=key,
            task_id=child.task_id,
            order=draft.next_order,
            history=(),
            parent=run.key,
            place=run.place,
        )
        draft.next_order += 1
        draft.removed.discard(key)
    number = before.attempt
    attempts = before.attempts
    if child.attempt_state is not State.SKIPPED:
        number += 1
        history = (*child.history[:-1], (child.attempt_state, child.history[-1][1]))
        attempt = Attempt(number=number, history=history, reason=child.reason)
        attempts = (*attempts, attempt)
    draft.put(
        replace(
            before,
            history=(*before.history, *child.history),
            attempt=number,
            attempts=attempts,
            outputs=child.outputs,
        )
    )


def goes_on(draft: Draft, run: TaskRun, state: State, changes: Mapping[str, object]) -> bool:
    """Open the `errors` and `finally` of a directory whose job has ended; whether it has any."""
    node = draft.node(run)
    wanted = [FINALLY] if state is not State.FAILED else [ERRORS, FINALLY]
    if draft.orphaned(run):
        return False
    if not any(node.branches.get(branch) for branch in wanted):
        return False
    facts = {**run.facts, "stage": TASKS, "ended": state.value}
    run = draft.move(run, State.RUNNING, facts=facts, **changes)
    group = draft.open_group(run, node, None)
    group.tallies[TASKS] = {state: 1}
    draft.dirty.append(group)
    return True
