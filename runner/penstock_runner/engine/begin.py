"""How a task run begins: its `runIf`, then what its role asks for."""

from __future__ import annotations

from collections.abc import Mapping

from penstock_runner.engine import batches, pauses, subflows
from penstock_runner.engine import commands as c
from penstock_runner.engine.draft import WAITING, Draft
from penstock_runner.engine.flowables.api import Role, Undecidable
from penstock_runner.engine.groups import Group
from penstock_runner.engine.outcomes import allowed
from penstock_runner.engine.plan import TASKS, Node
from penstock_runner.engine.state import State, TaskRun
from penstock_runner.engine.truth import constant, truthy
from penstock_runner.flow.model import Level


def open_ready(draft: Draft, group: Group) -> bool:
    """Open the children whose time has come; whether there were any.

    All are created before the first begins: a pause among them holds what follows, not them.
    """
    fresh: list[tuple[TaskRun, Node]] = []
    while (slot := group.order.take(group.open)) is not None:
        if not fresh and draft.state in WAITING:
            draft.set_state(State.RUNNING)
        node, value = group.place_of(slot)
        straight = _goes_straight(node)
        fresh.append((draft.create(group, node, value, attempts=int(straight)), node))
    for run, node in fresh:
        if _goes_straight(node):
            draft.command(c.RunJob(key=run.key, attempt=run.attempt, task_id=run.task_id))
        else:
            begin(draft, run, node)
    return bool(fresh)


def begin(draft: Draft, run: TaskRun, node: Node) -> None:
    """Take a created task run as far as it goes without news from outside."""
    gate = node.task.run_if
    if gate is None:
        launch(draft, run, node)
    elif constant(gate):
        run_if(draft, run, node, {"runIf": gate})
    else:
        draft.ask(run, "runIf", {"runIf": gate})


def _goes_straight(node: Node) -> bool:
    """Whether the task is asked for as it is created."""
    return node.role is Role.JOB and node.task.run_if is None


def run_if(draft: Draft, run: TaskRun, node: Node, values: Mapping[str, object]) -> None:
    """Begin or skip, as the rendered `runIf` says."""
    if truthy(values.get("runIf")):
        launch(draft, run, node)
    else:
        draft.end(run, State.SKIPPED)


def launch(draft: Draft, run: TaskRun, node: Node) -> None:
    """Carry the task out, now that nothing stands before it."""
    match node.role:
        case Role.JOB | Role.DIRECTORY:
            send(draft, run)
        case Role.GROUP:
            _start_group(draft, run, node)
        case Role.PAUSE:
            pauses.start(draft, run, node)
        case Role.SUBFLOW:
            subflows.start(draft, run, node)
        case Role.BATCHES:
            batches.start(draft, run, node)


def send(draft: Draft, run: TaskRun) -> None:
    """Ask for the next attempt of a job."""
    run = draft.move(run, attempt=run.attempt + 1)
    draft.command(c.RunJob(key=run.key, attempt=run.attempt, task_id=run.task_id))


def _start_group(draft: Draft, run: TaskRun, node: Node) -> None:
    run = draft.move(run, State.RUNNING)
    questions = node.flowable.asks(node.task)
    # A loop is told its items even when nothing is rendered: they may be in a file.
    if constant(questions) and not node.flowable.looked_up:
        decide(draft, run, node, questions)
    else:
        draft.ask(run, node.flowable.purpose, questions)


def decide(draft: Draft, run: TaskRun, node: Node, values: Mapping[str, object]) -> None:
    """Open the group of a flowable, now that its questions are answered."""
    try:
        choice = node.flowable.decide(node.task, values)
    except Undecidable as reason:
        fail(draft, run, node, str(reason))
        return
    if choice.template is not None:
        node = draft.adopt(node, choice.template)
    run = draft.move(
        run,
        values=choice.values,
        branch=choice.branch,
        outputs=choice.outputs,
        facts={**run.facts, **choice.facts, "stage": TASKS},
    )
    draft.dirty.append(draft.open_group(run, node, choice.branch))


def fail(draft: Draft, run: TaskRun, node: Node, reason: str) -> None:
    """End a flowable that cannot say how it goes on."""
    draft.say(run, Level.ERROR, f"Unable to resolve state from the Flowable task: {reason}")
    draft.end(run, allowed(node.task, State.FAILED))
