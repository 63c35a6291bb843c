"""Figure 10: what the store takes to write one whole execution, in batches of several sizes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime

from bench import flows, raw
from bench.records import Raw, Record, record
from bench.service import home
from bench.settings import Bench
from penstock_runner.engine import events as e
from penstock_runner.engine.state import Attempt, Execution, RunKey, State, TaskRun
from penstock_runner.executor.ids import ExecutionIds
from penstock_runner.executor.store import Batch, ExecutionWrite, LogRow
from penstock_server.store import migrations
from penstock_server.store.engine import open_store
from penstock_server.store.executions import SqlStore

AT = datetime(2026, 1, 31, 12, tzinfo=UTC)
KEY = RunKey("say")
SIZES = (1, 10, 200)


def sqlite(bench: Bench) -> list[Record]:
    """Whole executions of one task into SQLite."""
    with home() as folder:
        return _writes(bench, "SQLite", f"sqlite:///{folder}/penstock.db")


def postgres(bench: Bench) -> list[Record]:
    """The same into PostgreSQL."""
    return _writes(bench, "PostgreSQL", bench.postgres_url())


def _writes(bench: Bench, name: str, url: str) -> list[Record]:
    ids = ExecutionIds()
    made = []
    limit = raw.commits(bench, "sqlite" if name == "SQLite" else "postgresql")
    with closing(open_store(url)) as database:
        migrations.upgrade(database)
        with closing(SqlStore(database)) as store:
            for size in SIZES:
                total = bench.count(3_000 if size > 1 else 1_000, size)
                values = []
                for n in range(bench.repetitions()):
                    what = f"writes of {size} to {name} ({n + 1} of {bench.repetitions()})"
                    bench.say(what)
                    batches = [
                        [_execution(ids.new(AT)) for _ in range(size)]
                        for _ in range(max(total // size, 1))
                    ]
                    values.append(_microseconds(store, batches))
                made.append(
                    record(
                        f"store write of an execution, {name}, batch of {size}",
                        "us",
                        values,
                        raw=Raw(
                            name="one durable commit over the batch",
                            value=1e6 / limit.value / size,
                            unit="us",
                        ),
                    )
                )
    return made


def _microseconds(store: SqlStore, batches: Sequence[Sequence[Execution]]) -> float:
    begun = time.perf_counter()
    for executions in batches:
        store.write(_batch(executions))
    seconds = time.perf_counter() - begun
    written = {one.id: one for executions in batches for one in executions}
    found = store.load(written)
    for id_, execution in written.items():
        one = found.get(id_)
        if one is None or one.state is not State.SUCCESS or dict(one.runs) != execution.runs:
            raise AssertionError(f"the execution {id_} is not what was written")
        if store.last_line(id_) != 1:
            raise AssertionError(f"the execution {id_} has no log line")
    return seconds / len(written) * 1e6


def _batch(executions: Sequence[Execution]) -> Batch:
    ended = e.JobEnded(at=AT, key=KEY, attempt=1, state=State.SUCCESS, outputs={})
    return Batch(
        executions={
            one.id: ExecutionWrite(
                execution=one,
                read_version=None,
                changed=set(one.runs),
                events=[e.Started(at=AT), ended],
            )
            for one in executions
        },
        logs=[
            LogRow(
                execution_id=one.id,
                n=1,
                at=AT,
                level="INFO",
                message=f"run {one.id}",
                namespace=flows.NAMESPACE,
                flow_id="one",
                task_id="say",
            )
            for one in executions
        ],
    )


def _execution(id_: str) -> Execution:
    steps = ((State.CREATED, AT), (State.RUNNING, AT), (State.SUCCESS, AT))
    run = TaskRun(
        key=KEY,
        task_id="say",
        order=0,
        history=steps,
        attempt=1,
        attempts=(Attempt(number=1, history=steps),),
        outputs={},
    )
    return Execution(
        id=id_,
        namespace=flows.NAMESPACE,
        flow_id="one",
        flow_revision=1,
        history=steps,
        runs={KEY: run},
        inputs={},
        labels={"system.correlationId": id_},
    )
