"""A writer that is killed: what it was told is stored is there, and no batch is there in part."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

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


class Fatal(list[Any]):
    """Rows that kill the process when the store comes to them."""

    def __iter__(self) -> Iterator[Any]:
        os.kill(os.getpid(), signal.SIGKILL)
        return super().__iter__()


def die_within(url: str, field: str) -> None:
    store = SqlStore(open_store(url))
    for number in range(3):
        store.write(batch(number))
        print(number, flush=True)
    last = batch(3)
    setattr(last, field, Fatal(getattr(last, field)))
    store.write(last)


@contextmanager
def child(call: str) -> Iterator[subprocess.Popen[str]]:
    """A process of its own that calls a function of this file; it says which batches are stored."""
    with subprocess.Popen(
        [sys.executable, "-c", f"from tests.store import test_crash\ntest_crash.{call}"],
        env={**os.environ, "PYTHONPATH": ":".join([*sys.path, str(Path.cwd())])},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("told", [1, 40])
def test_after_a_kill_the_store_holds_whole_batches_and_all_that_were_told(
    store_url: str, told: int
) -> None:
    with child(f"write_forever({store_url!r})") as process:
        assert process.stdout is not None
        while process.stdout.readline() != f"{told}\n":
            assert process.poll() is None
        process.kill()
        rest = process.stdout.read().split()
    acknowledged = int(rest[-1]) if rest else told
    assert last_whole_batch(store_url) in (acknowledged, acknowledged + 1)


@pytest.mark.parametrize("field", ["jobs", "logs", "kv"])
def test_a_kill_in_the_middle_of_a_batch_leaves_nothing_of_it(store_url: str, field: str) -> None:
    with child(f"die_within({store_url!r}, {field!r})") as process:
        told, _ = process.communicate(timeout=60)
    assert (told.split(), process.returncode) == (["0", "1", "2"], -signal.SIGKILL)
    assert last_whole_batch(store_url) == 2


def last_whole_batch(url: str) -> int:
    """The number of the last batch, after a look whether all rows of all batches are there."""
    database = open_store(url)
    store = SqlStore(database)
    last = store.kv_get("team", "last")
    assert last is not None
    assert isinstance(last.value, int)
    count = (last.value + 1) * SIZE
    found = store.load([execution(n).id for n in range(count + 2 * SIZE)])
    assert len(found) == count
    assert Counter(item.version for item in found.values()) == {1: SIZE, 2: count - SIZE}
    assert all(LOAD in item.runs and store.last_line(item.id) == 1 for item in found.values())
    assert store.unended() == [execution(n).id for n in range(count - SIZE, count)]
    assert [item.execution_id for item in store.jobs()] == store.unended()
    store.close()
    database.close()
    return last.value
