"""What a Loop keeps of its iterations: the outputs it declares, and whether one was the last.

An iteration that is through is asked for its outputs before it ends; the loop lists them, or has
them stored in a file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from penstock_runner.engine.draft import Draft
from penstock_runner.engine.flowables.table import LOOP_KIND
from penstock_runner.engine.groups import Group
from penstock_runner.engine.orders import InLanes
from penstock_runner.engine.plan import FINALLY, TASKS, Node
from penstock_runner.engine.state import State, TaskRun
from penstock_runner.engine.tree import children
from penstock_runner.engine.truth import truthy
from penstock_runner.flow.model import Level

COLLECT, KEEP = "collect", "keep"
OUTPUTS, BREAK = "outputs", "breakWhen"


def asked(draft: Draft, group: Group) -> bool:
    """Whether something must be known before the group ends; it waits for the answer."""
    run = draft.runs[group.key]
    if run.facts.get("collected") or (draft.killing and not draft.shelters(group)):
        return False
    purpose = COLLECT
    if group.node.task.kind == LOOP_KIND:
        if not run.facts.get("stores"):
            return False
        purpose = KEEP
    elif group.stopped or group.has(State.FAILED, FINALLY) or not questions(group.node):
        return False
    group.waiting = True
    draft.ask(draft.note_run(run, looking=True), purpose, questions(group.node))
    return True


def questions(node: Node) -> Mapping[str, object]:
    """What is rendered at the end of an iteration; a loop only has its file written."""
    if node.task.kind == LOOP_KIND:
        return {}
    found: dict[str, object] = {}
    declared = node.task.properties.get(OUTPUTS)
    if isinstance(declared, list | tuple) and declared:
        found[OUTPUTS] = {one["id"]: one.get("value") for one in declared}
    if node.task.properties.get(BREAK) is not None:
        found[BREAK] = node.task.properties[BREAK]
    return found


def answered(draft: Draft, run: TaskRun, values: Mapping[str, object]) -> None:
    """Keep the outputs, and open no more iterations when this was the last."""
    group = draft.groups.get(run.key)
    if group is None:
        return
    if group.node.task.kind == LOOP_KIND:
        run = draft.move(run, outputs={**(run.outputs or {}), **values})
    elif values.get(OUTPUTS):
        run = draft.move(run, outputs=values[OUTPUTS])
    around = draft.group_of(run)
    if truthy(values.get(BREAK)) and around is not None:
        draft.note_run(draft.runs[around.key], broken=True)
        stop(around)
    _go_on(draft, run, group)


def failed(draft: Draft, run: TaskRun, reason: str) -> None:
    """The outputs cannot be had: the iteration, or the loop, fails."""
    group = draft.groups.get(run.key)
    if group is None:
        return
    draft.say(run, Level.ERROR, f"Failed to render output values: {reason}")
    _go_on(draft, draft.note_run(run, force=State.FAILED.value), group)


def _go_on(draft: Draft, run: TaskRun, group: Group) -> None:
    group.waiting = False
    draft.note_run(run, collected=True, looking=None)
    draft.dirty.append(group)


def stop(group: Group) -> None:
    """Open no more iterations."""
    if isinstance(group.order, InLanes):
        group.order.stop()


def results(draft: Draft, run: TaskRun, node: Node) -> Mapping[str, object]:
    """The outputs of a loop that is through."""
    of_all = list(children(draft, run, node, TASKS))
    counts: dict[str, int] = {}
    for one in of_all:
        counts[one.state.value] = counts.get(one.state.value, 0) + 1
    outputs = {**(run.outputs or {}), "runningIterations": 0, "terminatedIterations": counts}
    if not run.facts.get("stores") and (found := collected(run, of_all)):
        outputs[OUTPUTS] = found
    return outputs


def collected(loop: TaskRun, iterations: Iterable[TaskRun]) -> list[dict[str, object]]:
    """What each iteration gave, in the order of the items."""
    keys = loop.facts.get("keys")
    found: list[dict[str, object]] = []
    for run in sorted(iterations, key=lambda one: one.place[-1]):
        if not run.outputs:
            continue
        item: dict[str, object] = {"value": run.value, "iteration": run.place[-1]}
        if isinstance(keys, list | tuple):
            item["key"] = keys[run.place[-1]]
        found.append({"item": item, OUTPUTS: run.outputs})
    return found
