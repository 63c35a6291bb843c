"""What an execution waits for, told from its state alone: how it is taken up again after a stop.

Timers, children and log lines are rows of the same write as the state they follow from, so they
are never missing. What may be missing are jobs that had not been handed out, questions not yet
answered, and children of batches whose inputs were still being rendered.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from penstock_runner.engine import batches, ends, iterations, pauses, slas, subflows
from penstock_runner.engine import commands as c
from penstock_runner.engine.draft import Draft, sent, started
from penstock_runner.engine.flowables.api import Role
from penstock_runner.engine.flowables.loop import questions
from penstock_runner.engine.plan import LISTENERS, Node
from penstock_runner.engine.state import TaskRun


def pending(draft: Draft) -> Iterator[c.Command]:
    """The questions and jobs that have no answer yet, in the order of the task runs."""
    gate = draft.fact("gate")
    if gate is not None:
        yield c.Evaluate(key=None, purpose=str(gate), expressions=_asked_of_flow(draft, str(gate)))
    yield from slas.pending(draft)
    for run in sorted(draft.runs.values(), key=lambda each: each.order):
        if run.state.terminal or not draft.plan.knows(run.key):
            continue
        node = draft.node(run)
        gate = run.facts.get("gate")
        if gate is not None:
            expressions = _asked(draft, run, node, str(gate))
            yield c.Evaluate(key=run.key, purpose=str(gate), expressions=expressions)
        elif node.role in (Role.JOB, Role.DIRECTORY) and (sent(run) or started(run)):
            yield c.RunJob(key=run.key, attempt=run.attempt, task_id=run.task_id)
        elif node.role is Role.BATCHES and started(run):
            yield from batches.missing(run, node)


def _asked(draft: Draft, run: TaskRun, node: Node, gate: str) -> Mapping[str, object]:
    if gate.split("#", maxsplit=1)[0] == "runIf":
        return {"runIf": node.task.run_if}
    if node.flowable.repeats and run.facts.get("looking"):
        return questions(node.task)
    if node.flowable.collects and run.facts.get("looking"):
        return iterations.questions(node)
    match node.role:
        case Role.PAUSE:
            return pauses.said(node.task)
        case Role.SUBFLOW:
            return subflows.said(node.task)
        case Role.BATCHES:
            return batches.questions(draft, run, node)
        case _:
            return node.flowable.asks(node.task)


def _asked_of_flow(draft: Draft, gate: str) -> Mapping[str, object]:
    flow = draft.plan.flow
    if gate.split("#", maxsplit=1)[0] == LISTENERS:
        return ends.conditions(flow)
    return {output.id: output.value for output in flow.outputs}
