"""The rules, applied until nothing changes: open what is ready, close what is through."""

from __future__ import annotations

from penstock_runner.engine import ends, iterations, loops, pauses, slas
from penstock_runner.engine.begin import begin, launch, open_ready
from penstock_runner.engine.cuts import close_cut, cut
from penstock_runner.engine.draft import WAITING, Draft
from penstock_runner.engine.flowables.api import Role, worst
from penstock_runner.engine.flowables.table import LOOP_KIND
from penstock_runner.engine.groups import ROOT, WORK, Group
from penstock_runner.engine.outcomes import allowed
from penstock_runner.engine.plan import FINALLY, TASKS
from penstock_runner.engine.state import State
from penstock_runner.flow.model import Level


class EndlessRules(RuntimeError):
    """The rules changed the execution again and again: a flowable is broken."""


def settle(draft: Draft) -> None:
    """Look at every group that may have moved, until none has."""
    rounds = 0
    if draft.state is State.RESTARTED:
        draft.set_state(State.RUNNING)
    while True:
        if not draft.dirty:
            # Groups first: what one of them leaves behind must not start again.
            if not draft.held or draft.state is State.PAUSED:
                break
            _release(draft)
            continue
        group = draft.dirty.popleft()
        if draft.groups.get(group.key) is group:
            _step(draft, group)
        rounds += 1
        if rounds > 4 * (len(draft.runs) + len(draft.dirty) + 16):
            raise EndlessRules(f"execution '{draft.head.id}' does not settle at '{group.key}'")
    if draft.stale:
        draft.stale = False
        slas.look(draft)


def _release(draft: Draft) -> None:
    """Start what was held back."""
    for run in sorted((draft.runs[key] for key in draft.held), key=lambda held: held.order):
        draft.held.discard(run.key)
        released = draft.note_run(run, held=None)
        node = draft.node(released)
        if released.state is State.RESTARTED:
            begin(draft, released, node)
        elif released.state in WAITING:
            launch(draft, released, node)
        elif node.role is Role.PAUSE:
            pauses.resume(draft, released, None, None)
        elif released.state is State.RUNNING:
            launch(draft, released, node)


def _step(draft: Draft, group: Group) -> None:
    if group.cut:
        if not group.children:
            close_cut(draft, group)
        return
    if draft.state is State.PAUSED:
        return
    if draft.killing and not draft.shelters(group):
        _wind_down(draft, group)
        return
    if group.waiting:
        return
    exiting = group.key == ROOT and draft.fact("exit") is not None
    stopped = group.stage == TASKS and (group.stopped or exiting)
    if not stopped and open_ready(draft, group):
        return
    if not stopped and (group.open or not group.order.exhausted()):
        return
    _advance(draft, group, stopped=stopped)


def _wind_down(draft: Draft, group: Group) -> None:
    """In a kill: when all that ran has ended, run `finally`, then close."""
    if group.children or (group.waiting and group.key == ROOT):
        return
    group.waiting = False
    stage = group.next_stage(quiet=True) if draft.fact("kills") != 2 else None
    if stage is None:
        _close(draft, group)
    else:
        _enter(draft, group, stage)


def _advance(draft: Draft, group: Group, *, stopped: bool) -> None:
    if group.stage not in WORK:
        ends.next_after(draft, group)
        return
    if group.stage == TASKS and group.node.flowable.repeats and not stopped:
        run = draft.runs[group.key]
        if not run.facts.get("through"):
            loops.look(draft, group, run)
            return
    if group.stage == TASKS and not stopped and pauses.announced(draft, group):
        return
    stage = group.next_stage(quiet=draft.fact("exit") is not None)
    if stage is None:
        _close(draft, group)
    else:
        _enter(draft, group, stage)


def _enter(draft: Draft, group: Group, stage: str) -> None:
    group.enter(stage)
    if group.key == ROOT:
        draft.note(stage=stage)
    else:
        # What the stage before had asked is of no more use to anybody.
        draft.note_run(draft.runs[group.key], stage=stage, looking=None, gate=None)
    draft.dirty.append(group)


def _close(draft: Draft, group: Group) -> None:
    """End a group by its normal children; a failed `finally` fails it, too."""
    collects = group.node.flowable.collects
    if collects and iterations.asked(draft, group):
        return
    state = worst(group.tallies.get(TASKS, {}))
    if group.key != ROOT:
        run = draft.runs[group.key]
        forced = run.facts.get("force")
        state = State(str(forced)) if forced else state
        state = group.node.flowable.result(group.node.task, run.branch, state)
    if group.has(State.FAILED, FINALLY) and state is not State.KILLED:
        state = State.FAILED
    if group.key == ROOT:
        cut(draft, group)
        ends.finish(draft, group, state)
        return
    run = draft.runs[group.key]
    if run.branch is None and group.node.role is Role.GROUP:
        flow = draft.plan.flow
        where = f"flow '{flow.namespace}.{flow.id}', task '{run.task_id}'"
        draft.say(run, Level.WARN, f"No task found on {where}, execution '{draft.head.id}'")
    cut(draft, group)
    ended = State.KILLED if run.state is State.KILLING else allowed(group.node.task, state)
    run = draft.runs[group.key]
    if collects and group.node.task.kind == LOOP_KIND:
        run = draft.move(run, outputs=iterations.results(draft, run, group.node))
    draft.end(run, ended)
