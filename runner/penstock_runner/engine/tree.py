"""Finding task runs by the keys they must have, so that nobody searches the whole execution."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from penstock_runner.engine.draft import Draft, rounds_of, turn_of
from penstock_runner.engine.plan import TASKS, Node
from penstock_runner.engine.state import RunKey, TaskRun

# Notes of a task run that count what was asked for.
_NUMBERS = ("asked", "pauses", "timer")


def children(draft: Draft, run: TaskRun | None, node: Node, branch: str) -> Iterator[TaskRun]:
    """The task runs of one branch of a flowable; of the flow itself without a task run."""
    rounds = rounds_of(run, node)
    place = () if run is None else run.place
    places = [place]
    if run is not None and run.values is not None and branch == TASKS:
        places = [(*place, index) for index in range(len(run.values))]
    for child in node.branches.get(branch, ()):
        for each in places:
            suffix = "".join(f".{index}" for index in each)
            found = draft.runs.get(RunKey(f"{child.id}{suffix}{rounds}"))
            if found is not None:
                yield found


def below(draft: Draft, run: TaskRun, node: Node) -> Iterator[TaskRun]:
    """All task runs below one, the deepest first."""
    for branch in node.branches:
        for child in children(draft, run, node, branch):
            yield from below(draft, child, draft.node(child))
            yield child


def remove(draft: Draft, run: TaskRun) -> None:
    """Forget a task run and all below it."""
    for gone in [*below(draft, run, draft.node(run)), run]:
        draft.remove(gone.key)


def set_back(draft: Draft, run: TaskRun) -> None:
    """Forget a task run and all below it, but not what was asked for: it will be created again.

    A job, a question or a timer is known by its key and number, so the numbers go on where they
    were.
    """
    before = draft.fact("before")
    numbers: dict[str, object] = dict(before) if isinstance(before, Mapping) else {}
    for gone in [*below(draft, run, draft.node(run)), run]:
        kept = {name: gone.facts[name] for name in _NUMBERS if name in gone.facts}
        if gone.attempt:
            kept["base"] = gone.attempt
        if "stage" in gone.facts and draft.node(gone).flowable.repeats:
            kept["turns"] = turn_of(gone)
        if kept:
            numbers[gone.key] = kept
        draft.remove(gone.key)
    if numbers:
        draft.note(before=numbers)


def ancestors(draft: Draft, run: TaskRun) -> Iterator[TaskRun]:
    """The flowables around a task run, innermost first."""
    while run.parent is not None:
        run = draft.runs[run.parent]
        yield run
