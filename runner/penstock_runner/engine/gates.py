"""Answers to what the engine asked to be rendered."""

from __future__ import annotations

from penstock_runner.engine import batches, ends, iterations, loops, pauses, slas, subflows
from penstock_runner.engine import events as e
from penstock_runner.engine.begin import decide, fail, launch
from penstock_runner.engine.draft import Draft
from penstock_runner.engine.flowables.api import Role
from penstock_runner.engine.outcomes import allowed
from penstock_runner.engine.plan import LISTENERS, Node
from penstock_runner.engine.state import State, TaskRun
from penstock_runner.engine.truth import truthy
from penstock_runner.flow.model import Level


def answered(draft: Draft, event: e.Evaluated) -> None:
    """Go on where the question was asked, if its answer is still awaited."""
    if event.key is None:
        _of_flow(draft, event)
        return
    run = draft.runs.get(event.key)
    if run is None or run.state.terminal or run.facts.get("gate") != event.purpose:
        return
    run = draft.note_run(run, gate=None)
    node = draft.node(run)
    collects = node.flowable.collects and bool(run.facts.get("looking"))
    if event.purpose.split("#")[0] == "runIf":
        _run_if(draft, run, node, event)
    elif collects and event.error is not None:
        iterations.failed(draft, run, event.error)
    elif collects:
        iterations.answered(draft, run, event.values)
    elif event.error is not None:
        _refuse(draft, run, node, event.error)
    elif node.flowable.repeats:
        loops.answered(draft, run, node, event.values)
    elif node.role is Role.PAUSE:
        pauses.hold(draft, run, node, event.values)
    elif node.role is Role.SUBFLOW:
        subflows.request(draft, run, node, event.values)
    elif node.role is Role.BATCHES:
        batches.open_all(draft, run, node, event.values)
    else:
        decide(draft, run, node, event.values)


def _of_flow(draft: Draft, event: e.Evaluated) -> None:
    if event.purpose.startswith(slas.PURPOSE):
        slas.answered(draft, event)
        return
    if draft.fact("gate") != event.purpose:
        return
    draft.note(gate=None)
    match event.purpose.split("#")[0]:
        case ends.OUTPUTS:
            ends.answered(draft, event.values, event.error)
        case name if name == LISTENERS:
            ends.heard(draft, event.values)


def _run_if(draft: Draft, run: TaskRun, node: Node, event: e.Evaluated) -> None:
    if event.error is not None:
        message = f"Unable to evaluate the runIf condition for task {run.task_id}"
        draft.say(run, Level.ERROR, f"{message}: {event.error}")
        draft.end(run, allowed(node.task, State.FAILED))
    elif not truthy(event.values.get("runIf")):
        draft.end(run, State.SKIPPED)
    elif draft.state is State.PAUSED:
        draft.hold(run)
    else:
        launch(draft, run, node)


def _refuse(draft: Draft, run: TaskRun, node: Node, error: str) -> None:
    if node.flowable.repeats:
        loops.failed(draft, run, error)
    elif node.role is Role.GROUP:
        fail(draft, run, node, error)
    else:
        draft.say(run, Level.ERROR, error)
        draft.end(run, allowed(node.task, State.FAILED))
