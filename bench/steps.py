"""What one execution costs the executor, by step: engine, rendering, rows, commit, and the rest.

The executor runs in this process over a store of its own. The functions of each step are measured
from outside, each without what it calls of another step.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import Any

from bench import flows, raw
from bench.client import Wrong
from bench.records import Raw, Record, record
from bench.service import home
from bench.settings import Bench
from penstock_runner.engine.fold import Fold
from penstock_runner.engine.state import State
from penstock_runner.executor.executor import Executor
from penstock_runner.executor.flows import Flows
from penstock_runner.executor.inline import Surroundings
from penstock_runner.executor.messages import Outcome, Start
from penstock_runner.executor.store import Batch, StoredFlow
from penstock_runner.expressions.environment import Expressions
from penstock_runner.tasks.registry import Registry
from penstock_runner.tasks.storage import LocalStorage
from penstock_server.store import migrations
from penstock_server.store.engine import Database, Tx, open_store
from penstock_server.store.executions import SqlStore

A_BATCH = 20
REST = "the rest of the executor"
STEPS = ("engine", "rendering", "rows", "commit", REST)


class Split:
    """Seconds by step; a step that is entered within another one stops the other's clock."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._within = [REST]
        self._since = time.perf_counter()

    def enter(self, step: str) -> None:
        """From now on this step is measured."""
        self.count()
        self._within.append(step)

    def leave(self) -> None:
        """The step ends; the one around it goes on."""
        self.count()
        self._within.pop()

    def clear(self) -> None:
        """Begin anew."""
        self.count()
        self.seconds.clear()

    def measured(self, step: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, its time counted for this step."""

        @wraps(function)
        def timed(*args: Any, **named: Any) -> Any:
            self.enter(step)
            try:
                return function(*args, **named)
            finally:
                self.leave()

        return timed

    def count(self) -> None:
        """Add what has passed to the present step."""
        now = time.perf_counter()
        self.seconds[self._within[-1]] += now - self._since
        self._since = now


class _Nobody:
    def committed(self, batch: Batch) -> None: ...


def cost(bench: Bench) -> list[Record]:
    """Executions of two core tasks, begun twenty at a time, on SQLite: what takes the time."""
    count = bench.count(2_000, A_BATCH * 2)
    values: dict[str, list[float]] = {step: [] for step in STEPS}
    totals: list[float] = []
    split = Split()
    with home() as folder, closing(open_store(f"sqlite:///{folder}/penstock.db")) as database:
        migrations.upgrade(database)
        with closing(SqlStore(database)) as store, _watched(split):
            executor = _executor(store, folder)
            _check(store, _run(executor, A_BATCH))  # the first ones compile
            for n in range(bench.repetitions()):
                bench.say(f"{count} executions, by step ({n + 1} of {bench.repetitions()})")
                split.clear()
                ids = _run(executor, count)
                split.count()
                for step in STEPS:
                    values[step].append(split.seconds[step] / count * 1e6)
                _check(store, ids)
                totals.append(sum(values[step][-1] for step in STEPS))
    commits = raw.commits(bench, "sqlite")
    limit = Raw(name="one commit over the batch", value=1e6 / commits.value / A_BATCH, unit="us")
    what = f"an execution of two core tasks, batches of {A_BATCH}"
    made = [record(f"executor, {what}", "us", totals, aim=600, raw=limit)]
    made.extend(record(f"- {step}", "us", values[step]) for step in STEPS)
    return made


def _run(executor: Executor, count: int) -> list[str]:
    """Start and end so many executions; their ids."""
    outcomes: list[Outcome] = []
    for first in range(0, count, A_BATCH):
        for n in range(first, first + A_BATCH):
            start = Start(namespace=flows.NAMESPACE, flow_id="two", inputs={"n": n}, resolve=True)
            executor.transact(starts=[start], done=outcomes.append)
        while executor.busy:
            executor.drain()
    return [execution.id for outcome in outcomes for execution in outcome.executions]


def _check(store: SqlStore, ids: Sequence[str]) -> None:
    """Raises `Wrong` unless each is stored as it should be."""
    values = {
        run.outputs["value"]
        for execution in store.load(ids).values()
        for run in execution.runs.values()
        if execution.state is State.SUCCESS and run.task_id == "greet" and run.outputs
    }
    if values != {f"hello {n}" for n in range(len(ids))}:
        raise Wrong(f"{len(values)} of {len(ids)} executions ended as they should")


def _executor(store: SqlStore, folder: Path) -> Executor:
    flow = StoredFlow(namespace=flows.NAMESPACE, id="two", revision=1, source=flows.TWO)
    return Executor(
        store=store,
        flows=Flows(lambda _namespace, _id, _revision: flow),
        registry=Registry(),
        around=Surroundings(
            expressions=Expressions(), secrets={}, storage=LocalStorage(folder / "storage")
        ),
        now=lambda: datetime.now(UTC),
        listener=_Nobody(),
    )


@contextmanager
def _watched(split: Split) -> Iterator[None]:
    """All functions of the steps measured, as long as the block runs."""
    begin = Database.begin

    @contextmanager
    def watched_begin(self: Database) -> Iterator[Tx]:
        with begin(self) as tx:
            yield tx
            split.enter("commit")
        split.leave()

    with ExitStack() as stack:
        for step, kind, names in (
            ("engine", Fold, ("__init__", "apply", "settle", "execution")),
            ("rendering", Expressions, ("render", "render_typed", "render_deep")),
            ("rows", SqlStore, ("write",)),
        ):
            stack.enter_context(_replaced(split, step, kind, names))
        Database.begin = watched_begin  # type: ignore[method-assign]
        stack.callback(setattr, Database, "begin", begin)
        yield


@contextmanager
def _replaced(split: Split, step: str, kind: type, names: Sequence[str]) -> Iterator[None]:
    own = {name: getattr(kind, name) for name in names}
    for name, function in own.items():
        setattr(kind, name, split.measured(step, function))
    try:
        yield
    finally:
        for name, function in own.items():
            setattr(kind, name, function)
