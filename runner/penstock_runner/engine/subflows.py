"""Task runs that wait for other executions: Subflow."""

from __future__ import annotations

from collections.abc import Mapping

from penstock_runner.engine import attempts
from penstock_runner.engine import commands as c
from penstock_runner.engine import events as e
from penstock_runner.engine.draft import WAITING, Draft, sent
from penstock_runner.engine.plan import Node
from penstock_runner.engine.state import State, TaskRun
from penstock_runner.engine.truth import constant, truthy
from penstock_runner.flow.model import Level, Task

# `outputs` of the task is rendered in the child's context, so it travels as written.
_RENDERED = (
    "namespace",
    "flowId",
    "revision",
    "inputs",
    "labels",
    "inheritLabels",
    "scheduleDate",
    "wait",
    "transmitFailed",
)
TRANSMITTED = frozenset({State.FAILED, State.KILLED, State.WARNING})


def start(draft: Draft, run: TaskRun, node: Node) -> None:
    """Ask for the rendered properties, or for the child at once when nothing is to be rendered."""
    asked = said(node.task)
    if constant(asked):
        request(draft, run, node, asked)
    else:
        draft.ask(run, "subflow", asked)


def said(task: Task) -> dict[str, object]:
    """What the task says of the child it wants."""
    return {name: task.properties[name] for name in _RENDERED if name in task.properties}


def request(draft: Draft, run: TaskRun, node: Node, values: Mapping[str, object]) -> None:
    """Ask for the child execution; its properties are rendered."""
    asked = {**values, "wait": truthy(values.get("wait", True))}
    if "outputs" in node.task.properties:
        asked["outputs"] = node.task.properties["outputs"]
    facts = {
        **run.facts,
        "wait": asked["wait"],
        "transmit": truthy(values.get("transmitFailed", True)),
    }
    run = draft.move(run, attempt=run.attempt + 1, child_execution=None, facts=facts)
    draft.command(c.StartSubflow(key=run.key, attempt=run.attempt, request=asked))


def begun(draft: Draft, event: e.SubflowStarted) -> None:
    """The child exists: wait for it, or go on when the task does not wait."""
    run = draft.runs.get(event.key)
    if run is None or run.attempt != event.attempt or run.child_execution is not None:
        return
    if run.state.terminal and draft.fact("cascade"):
        # The kill overtook the child's birth.
        draft.command(c.KillSubflow(key=run.key, execution_id=event.execution_id))
        draft.move(run, child_execution=event.execution_id)
        return
    if run.state not in WAITING or not sent(run):
        return
    outputs = {"executionId": event.execution_id}
    run = attempts.start(draft, run, child_execution=event.execution_id, outputs=outputs)
    if not run.facts.get("wait", True):
        outputs = {**outputs, "state": State.CREATED.value}
        attempts.conclude(draft, run, State.SUCCESS, outputs=outputs)


def ended(draft: Draft, event: e.SubflowEnded) -> None:
    """The child has ended: its state becomes the task's, as far as the task wants it."""
    run = attempts.current(draft, event.key, event.attempt)
    if run is None or not event.state.terminal:
        return
    if run.child_execution not in (None, event.execution_id):
        return
    if run.child_execution is None:
        run = draft.move(run, child_execution=event.execution_id)
    outputs: dict[str, object] = {"executionId": event.execution_id}
    if event.error is not None:
        message = f"Failed to extract outputs with the error: '{event.error}'"
        draft.say(run, Level.ERROR, message)
        attempts.conclude(draft, run, State.FAILED, outputs=outputs)
        return
    outputs["state"] = event.state.value
    if event.outputs is not None:
        outputs["outputs"] = event.outputs
    passed = run.facts.get("transmit", True) and event.state in TRANSMITTED
    attempts.conclude(draft, run, event.state if passed else State.SUCCESS, outputs=outputs)
