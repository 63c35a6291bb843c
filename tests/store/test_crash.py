"""A writer that is killed: what it was told is stored is there, and no batch is there in part."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from tests.executor.test_store_contract import LOAD, NOON, created, execution, job, line, run

from penstock_runner.engine.state import State
from penstock_runner.executor.store import Batch, ExecutionWrite, KvWrite
from penstock_runner.tasks.api import KvEntry
from penstock_server.store.engine import open_store
from penstock_server.store.executions import SqlStore

SIZE = 8


def batch(number: int) -> Batch:
    """New executions, the end of those of the batch before, and the number of this batch."""
    first = number * SIZE
    made = [execution(first + n, runs=(run(),)) for n in range(SIZE)]
    whole = created(*made)
    for n in range(SIZE if number else 0):
        ended = execution(first - SIZE + n, State.CREATED, State.SUCCESS, runs=(run(),))
        write = ExecutionWrite(execution=ended, read_version=1, changed={LOAD})
        whole.executions[ended.id] = write
        whole.jobs_ended.append((ended.id, LOAD, 1))
    whole.jobs.extend(job(item) for item in made)
    whole.logs.extend(line(item, 1) for item in made)
    entry = KvEntry(key="last", value=number, type="NUMBER", created=NOON, updated=NOON)
    whole.kv.append(KvWrite(namespace="team", key="last", entry=entry))
    return whole


def write_forever(url: str) -> None:
    store = SqlStore(open_store(url))
    for number in itertools.count():
        store.write(batch(number))
        print(number, flush=True)


@pytest.mark.parametrize("told", [1, 40])
def test_after_a_kill_the_store_holds_whole_batches_and_all_that_were_told(
    store_url: str, told: int
) -> None:
    program = f"from tests.store.test_crash import write_forever\nwrite_forever({store_url!r})"
    with subprocess.Popen(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": ":".join([*sys.path, str(Path.cwd())])},
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout is not None
        while child.stdout.readline() != f"{told}\n":
            assert child.poll() is None
        child.kill()
        rest = child.stdout.read().split()
    acknowledged = int(rest[-1]) if rest else told

    database = open_store(store_url)
    store = SqlStore(database)
    last = store.kv_get("team", "last")
    assert last is not None
    assert isinstance(last.value, int)
    assert acknowledged <= last.value <= acknowledged + 1
    count = (last.value + 1) * SIZE
    found = store.load([execution(n).id for n in range(count + 2 * SIZE)])
    assert len(found) == count
    assert Counter(item.version for item in found.values()) == {1: SIZE, 2: count - SIZE}
    assert all(LOAD in item.runs and store.last_line(item.id) == 1 for item in found.values())
    assert store.unended() == [execution(n).id for n in range(count - SIZE, count)]
    assert [item.execution_id for item in store.jobs()] == store.unended()
    store.close()
    database.close()
