"""The rounds of a loop that repeats until its condition holds.

Between rounds the execution goes on RUNNING: what runs beside the loop is not held up by its
interval.
"""

from __future__ import annotations

from collections.abc import Mapping

from penstock_runner.engine import commands as c
from penstock_runner.engine import events as e
from penstock_runner.engine.draft import Draft, rounds_of, turn_of
from penstock_runner.engine.flowables.loop import questions, verdict
from penstock_runner.engine.groups import Group
from penstock_runner.engine.plan import TASKS, Node
from penstock_runner.engine.state import State, TaskRun
from penstock_runner.engine.tree import below
from penstock_runner.engine.truth import truthy
from penstock_runner.flow import durations
from penstock_runner.flow.model import Level

_REACHED = {"iterations": "Max iterations reached", "duration": "Max duration reached"}


def look(draft: Draft, group: Group, run: TaskRun) -> None:
    """A round is over: ask whether there is another."""
    group.waiting = True
    draft.ask(draft.note_run(run, looking=True), "condition", questions(group.node.task))


def answered(draft: Draft, run: TaskRun, node: Node, values: Mapping[str, object]) -> None:
    """The condition is known: end, or wait for the next round."""
    group = draft.groups.get(run.key)
    if group is None:
        return
    rounds = round_of(run)
    began = run.history[0][1]
    try:
        what, often = verdict(node.task, values, rounds=rounds, began=began, now=draft.at)
    except (durations.BadDuration, ValueError) as wrong:
        failed(draft, run, f"checkFrequency: {wrong}")
        return
    if what == "again":
        at = draft.at + often.interval
        # A round that is opened again may wait a second time.
        number = max(turn_of(run), int(str(run.facts.get("timer", 0))) + 1)
        draft.note_run(run, timer=number, due=number)
        draft.command(c.StartTimer(key=run.key, attempt=number, at=at, purpose="loop"))
        return
    if what in _REACHED:
        draft.say(run, Level.WARN, _REACHED[what])
        if truthy(values.get("failOnMaxReached", False)):
            run = draft.note_run(run, force=State.FAILED.value)
    _through(draft, run, group)


def failed(draft: Draft, run: TaskRun, reason: str) -> None:
    """The condition cannot be known: the loop fails."""
    group = draft.groups.get(run.key)
    if group is None:
        return
    draft.say(run, Level.ERROR, f"Unable to resolve state from the Flowable task: {reason}")
    _through(draft, draft.note_run(run, force=State.FAILED.value), group)


def _through(draft: Draft, run: TaskRun, group: Group) -> None:
    group.waiting = False
    draft.note_run(run, through=True, looking=None)
    draft.dirty.append(group)


def due(draft: Draft, event: e.TimerFired) -> None:
    """The interval is over: the children of the last round go, and those of the next one come."""
    run = None if event.key is None else draft.runs.get(event.key)
    group = None if event.key is None else draft.groups.get(event.key)
    if run is None or group is None or not group.waiting:
        return
    # What was noted of a loop that began to wait before its timers were numbered.
    unnumbered = None if "timer" in run.facts else turn_of(run)
    if run.facts.get("due", unnumbered) != event.attempt:
        return
    if run.state is not State.RUNNING or group.cut:
        return
    for old in list(below(draft, run, group.node)):
        draft.remove(old.key)
    count = round_of(run) + 1
    run = draft.move(run, outputs={**(run.outputs or {}), "iterationCount": count})
    run = draft.note_run(run, round=count, looking=None, due=None)
    group.waiting = False
    group.rounds = rounds_of(run, group.node)
    group.enter(TASKS)
    draft.dirty.append(group)


def round_of(run: TaskRun) -> int:
    """Which round a loop is in, from 1."""
    return int(str(run.facts.get("round", 1)))
