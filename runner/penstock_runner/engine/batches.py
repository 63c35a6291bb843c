"""ForEachItem's middle part: one child execution for each batch, all at once, counted by state.

What each child came to is one letter in a text, so that a report costs the same whatever their
number.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from penstock_runner.engine import attempts, subflows
from penstock_runner.engine import commands as c
from penstock_runner.engine import events as e
from penstock_runner.engine.draft import WAITING, Draft
from penstock_runner.engine.plan import Node
from penstock_runner.engine.state import RunKey, State, TaskRun
from penstock_runner.engine.truth import truthy

_LETTERS = {
    State.CREATED: "c",
    State.RUNNING: "r",
    State.SUCCESS: "S",
    State.WARNING: "W",
    State.FAILED: "F",
    State.KILLED: "K",
    State.CANCELLED: "X",
    State.RETRIED: "T",
}
_STATES = {letter: state for state, letter in _LETTERS.items()}
BASE = "subflowOutputsBaseUri"
_ONCE = ("batches", BASE)
# What is counted of one attempt is nothing to the next.
COUNTS = "counts"


def start(draft: Draft, run: TaskRun, node: Node) -> None:
    """Ask for the batches, and for the properties that are the same for all children."""
    draft.ask(run, "batches", questions(draft, run, node))


def questions(draft: Draft, run: TaskRun, node: Node) -> Mapping[str, object]:
    """What must be known before the children are; `splits` is the list of the batches' files."""
    # `inputs` differ from batch to batch, so they travel as written.
    asked = {name: value for name, value in subflows.said(node.task).items() if name != "inputs"}
    place = run.key.removeprefix(node.id)
    split = draft.runs.get(RunKey(f"{node.id.removesuffix('_items')}_split{place}"))
    outputs = split.outputs if split is not None and split.outputs is not None else {}
    return {**asked, "splits": outputs.get("splits")}


def open_all(draft: Draft, run: TaskRun, node: Node, values: Mapping[str, object]) -> None:
    """Ask for all children; `values["batches"]` holds the URI of each batch."""
    found = values.get("batches")
    files = [str(uri) for uri in found] if isinstance(found, list | tuple) else []
    if not files:
        draft.end(run, State.SUCCESS)
        return
    waits = truthy(values.get("wait", True))
    transmits = truthy(values.get("transmitFailed", True))
    same = {name: value for name, value in values.items() if name not in _ONCE}
    facts = {
        **{name: fact for name, fact in run.facts.items() if name != COUNTS},
        "wait": waits,
        "transmit": transmits,
        "batches": "c" * len(files),
        "same": {**same, "wait": waits},
    }
    outputs: dict[str, object] = {
        "numberOfBatches": len(files),
        "iterations": {State.CREATED.value: len(files)},
    }
    if values.get(BASE) is not None:
        outputs[BASE] = values[BASE]
    run = draft.move(run, attempt=run.attempt + 1)
    run = attempts.start(draft, run, facts=facts, outputs=outputs)
    for command in missing(run, node):
        request = {**command.request, "items": files[command.index]}
        draft.command(replace(command, request=request))


def missing(run: TaskRun, node: Node) -> Iterator[c.StartSubflow]:
    """The children that do not exist yet; `splits` names the file that lists their batches."""
    same = run.facts.get("same")
    letters = str(run.facts.get("batches", ""))
    for index, letter in enumerate(letters):
        if letter != _LETTERS[State.CREATED] or not isinstance(same, Mapping):
            continue
        request = {
            **same,
            "inputs": node.task.properties.get("inputs"),
            "outputs": node.task.properties.get("outputs"),
            "iteration": index + 1,
        }
        yield c.StartSubflow(key=run.key, attempt=run.attempt, request=request, index=index)


def moved(draft: Draft, event: e.SubflowStarted | e.SubflowEnded) -> None:
    """A child exists or has changed; when all have ended, so has the task run."""
    run = attempts.current(draft, event.key, event.attempt)
    letters = "" if run is None else str(run.facts.get("batches", ""))
    if run is None or run.state in WAITING or not 0 <= event.index < len(letters):
        return
    before = _STATES[letters[event.index]]
    after = event.state if isinstance(event, e.SubflowEnded) else State.RUNNING
    if isinstance(event, e.SubflowStarted) and not run.facts.get("wait", True):
        after = State.SUCCESS
    if before.terminal or after is before or after not in _LETTERS:
        return
    letters = letters[: event.index] + _LETTERS[after] + letters[event.index + 1 :]
    counts = _counts(run, len(letters))
    counts[before.value] -= 1
    counts[after.value] = counts.get(after.value, 0) + 1
    shown = dict(counts)
    if not run.facts.get("wait", True):
        shown.pop(State.CREATED.value)
    shown.setdefault(State.RUNNING.value, 0)
    outputs = {**(run.outputs or {}), "iterations": shown}
    facts = {**run.facts, "batches": letters, COUNTS: counts}
    run = draft.move(run, facts=facts, outputs=outputs)
    if sum(count for name, count in counts.items() if State(name).terminal) == len(letters):
        attempts.conclude(draft, run, _result(run, counts), outputs=outputs)


def _counts(run: TaskRun, total: int) -> dict[str, int]:
    seen = run.facts.get(COUNTS)
    return dict(seen) if isinstance(seen, Mapping) else {State.CREATED.value: total}


def _result(run: TaskRun, counts: Mapping[str, int]) -> State:
    if run.facts.get("transmit", True):
        for state in (State.FAILED, State.KILLED, State.WARNING):
            if counts.get(state.value):
                return state
    return State.SUCCESS
