"""Pausing and going on: the Pause task, its delays, and a person who holds the whole execution."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from penstock_runner.engine import commands as c
from penstock_runner.engine import events as e
from penstock_runner.engine.draft import Draft
from penstock_runner.engine.flowables.api import Role
from penstock_runner.engine.groups import Group
from penstock_runner.engine.outcomes import allowed
from penstock_runner.engine.plan import TASKS, Node
from penstock_runner.engine.state import RunKey, State, TaskRun
from penstock_runner.engine.truth import constant
from penstock_runner.flow import durations
from penstock_runner.flow.model import Level, Task

ON_PAUSE = "onPause"
_ASKED = ("delay", "timeout", "pauseDuration", "behavior")
_AFTER: Mapping[str, State | None] = {
    "RESUME": None,
    "WARN": State.WARNING,
    "FAIL": State.FAILED,
    "CANCEL": State.CANCELLED,
}


def start(draft: Draft, run: TaskRun, node: Node) -> None:
    """Begin a Pause task: first comes what it does to tell of the pause."""
    run = draft.move(run, State.RUNNING)
    if node.branches.get(ON_PAUSE):
        run = draft.move(run, branch=ON_PAUSE, facts={**run.facts, "stage": TASKS})
        draft.dirty.append(draft.open_group(run, node, ON_PAUSE))
    else:
        _wait(draft, run, node)


def announced(draft: Draft, group: Group) -> bool:
    """Begin to wait, when the group has told of the pause; whether it has."""
    run = draft.runs.get(group.key)
    if run is None or group.node.role is not Role.PAUSE or run.branch != ON_PAUSE:
        return False
    del draft.groups[group.key]
    _wait(draft, draft.note_run(draft.move(run, branch=None), stage=None), group.node)
    return True


def _wait(draft: Draft, run: TaskRun, node: Node) -> None:
    """Pause at once, or when the delays are rendered."""
    asked = said(node.task)
    if constant(asked):
        hold(draft, run, node, asked)
    else:
        draft.ask(run, "pause", asked)


def said(task: Task) -> dict[str, object]:
    """What the task says of its own end."""
    asked = {name: task.properties[name] for name in _ASKED if name in task.properties}
    return asked if task.timeout is None else {"timeout": task.timeout, **asked}


def hold(draft: Draft, run: TaskRun, node: Node, values: Mapping[str, object]) -> None:
    """Pause the task run and the execution, with a timer if there is an end to it."""
    try:
        limit = _limit(values)
    except (durations.BadDuration, KeyError) as wrong:
        draft.say(run, Level.ERROR, f"Unable to pause at task '{run.task_id}': {wrong}")
        draft.end(run, allowed(node.task, State.FAILED))
        return
    times = int(str(run.facts.get("pauses", 0))) + 1
    after = None if limit is None else limit[1]
    facts = {**run.facts, "pauses": times, "after": after}
    run = draft.move(run, State.PAUSED, facts={k: v for k, v in facts.items() if v is not None})
    if draft.state in (State.RUNNING, State.RETRYING):
        draft.set_state(State.PAUSED)
    if limit is not None:
        at = draft.at + limit[0]
        draft.command(c.StartTimer(key=run.key, attempt=times, at=at, purpose="pause"))


def _limit(values: Mapping[str, object]) -> tuple[timedelta, str] | None:
    for name, after in (("delay", "RESUME"), ("timeout", "FAIL")):
        if values.get(name) not in (None, ""):
            return durations.parse(values[name]), after
    if values.get("pauseDuration") in (None, ""):
        return None
    behavior = str(values.get("behavior") or "RESUME")
    if behavior not in _AFTER:
        raise KeyError(f"behavior '{behavior}' is none of {', '.join(_AFTER)}")
    return durations.parse(values["pauseDuration"]), behavior


def timer(draft: Draft, event: e.TimerFired, run: TaskRun) -> State | None:
    """A pause is over by itself; CANCELLED asks the caller to end the execution so."""
    if run.state is not State.PAUSED or run.facts.get("pauses") != event.attempt:
        return None
    state = _AFTER[str(run.facts.get("after", "RESUME"))]
    resume(draft, run, None, state)
    return State.CANCELLED if state is State.CANCELLED else None


def resumed(draft: Draft, event: e.Resumed) -> None:
    """A person lets a paused task run go on, or the execution."""
    if event.key is not None:
        run = draft.runs.get(event.key)
        if run is not None and run.state is State.PAUSED:
            resume(draft, run, event.outputs, event.state)
    elif draft.paused:
        run = min((draft.runs[key] for key in draft.paused), key=lambda paused: paused.order)
        resume(draft, run, event.outputs, event.state)
    elif draft.state is State.PAUSED:
        draft.set_state(State.RUNNING)
        wake(draft)


def resume(
    draft: Draft, run: TaskRun, outputs: Mapping[str, object] | None, state: State | None
) -> None:
    """Let one paused task run go on, or end it in `state`."""
    node = draft.node(run)
    if state is State.KILLING:
        draft.end(run, State.KILLING, State.KILLED)
    elif state not in (None, State.RUNNING, State.SUCCESS):
        draft.end(run, allowed(node.task, state))
    else:
        if outputs is not None and "onResume" in node.task.properties:
            run = draft.move(run, outputs={"onResume": outputs})
        if node.branches.get(TASKS):
            facts = {**run.facts, "stage": TASKS}
            run = draft.move(run, State.RUNNING, branch=TASKS, facts=facts)
            draft.dirty.append(draft.open_group(run, node, TASKS))
        else:
            draft.end(run, State.RUNNING, State.SUCCESS)
    if draft.state is State.PAUSED and not draft.paused:
        # It is RUNNING as soon as the rules look at it again.
        draft.set_state(State.RESTARTED)
        wake(draft)


def wake(draft: Draft) -> None:
    """Look at every open group again, oldest first."""
    draft.dirty.extend(sorted(draft.groups.values(), key=lambda group: _age(draft, group.key)))


def _age(draft: Draft, key: RunKey) -> int:
    run = draft.runs.get(key)
    return -1 if run is None else run.order


def request(draft: Draft) -> None:
    """A person holds the execution: nothing new starts until it is resumed."""
    if draft.state in (State.RUNNING, State.RETRYING):
        draft.set_state(State.PAUSED)


def force(draft: Draft) -> None:
    """Resume all that is paused."""
    for key in sorted(draft.paused, key=lambda paused: draft.runs[paused].order):
        resume(draft, draft.runs[key], None, None)
    if draft.state is State.PAUSED:
        draft.set_state(State.RUNNING)
        wake(draft)
