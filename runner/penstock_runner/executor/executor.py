"""The drain loop: take what has happened, decide, write once, then act.

Everything that happens to executions comes in as a message in one queue. `drain` takes a batch,
folds it, writes all that follows in one transaction, and only then sends jobs, answers those who
wait and tells followers. Nothing of a batch is visible before it is durable; a batch that cannot be
written is taken apart, so that one bad execution stops nobody else.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Protocol

from penstock_runner.engine import events as e
from penstock_runner.engine.state import Execution, RunKey
from penstock_runner.executor.batches import batch_of, carefully
from penstock_runner.executor.ciphers import Cipher
from penstock_runner.executor.clockwatch import ClockWatch, said
from penstock_runner.executor.dispatch import Dispatch, RunnerSeat
from penstock_runner.executor.flows import Flows
from penstock_runner.executor.handlers import Handlers
from penstock_runner.executor.held import Held, Working
from penstock_runner.executor.ids import ExecutionIds
from penstock_runner.executor.inbox import (
    ClockSet,
    Deed,
    Lines,
    Lost,
    Many,
    Message,
    Recover,
    Remove,
    Reported,
    Returned,
    Stranded,
    Tell,
    Transact,
    execution_of,
)
from penstock_runner.executor.inline import Surroundings
from penstock_runner.executor.live import Live, Part
from penstock_runner.executor.messages import Done, OnChange, Outcome, Refused, Start
from penstock_runner.executor.questions import Questions
from penstock_runner.executor.recovery import under_way
from penstock_runner.executor.starts import Starts
from penstock_runner.executor.step import Stepper
from penstock_runner.executor.store import Batch, KvWrite, Store, Write
from penstock_runner.executor.values import Values
from penstock_runner.flow.model import Check
from penstock_runner.jobs.protocol import JobId, Report
from penstock_runner.tasks.registry import Registry

MESSAGES_A_BATCH = 500
TIMERS_A_BATCH = 500
PAUSE_AFTER_FAILURE = timedelta(seconds=1)

log = logging.getLogger(__name__)


class Listener(Protocol):
    """Told after each commit, to feed those who follow."""

    def committed(self, batch: Batch) -> None: ...


class Executor:
    """Runs executions over a store. Single-threaded: whoever owns it calls it from one thread."""

    def __init__(
        self,
        *,
        store: Store,
        flows: Flows,
        registry: Registry,
        around: Surroundings,
        now: Callable[[], datetime],
        listener: Listener,
        constants: Mapping[str, Any] | None = None,
        on_end: Callable[[Execution], Sequence[Write]] = lambda _execution: (),
        cipher: Cipher | None = None,
        on_change: OnChange | None = None,
        elapsed: Callable[[], float] | None = None,
    ) -> None:
        self.store = store
        self.flows = flows
        self.dispatch = Dispatch()
        self.values = Values(store)
        self.trouble: str | None = None
        self._now = now
        self._listener = listener
        self._on_change = on_change
        self._ids = ExecutionIds()
        self._queue: deque[Message] = deque()
        encrypt = None if cipher is None else cipher.encrypt
        decrypt = None if cipher is None else cipher.decrypt
        self._held = Held(store, flows, self.dispatch, constants or {}, decrypt, around.secrets)
        self._starts = Starts(flows, around, self.values, now, encrypt, decrypt)
        self._watch = None if elapsed is None else ClockWatch(elapsed)
        self._one_by_one = 0
        self._paused_until: datetime | None = None
        self._next_timer: datetime | None = store.next_timer()
        self._timers_changed = False
        self._handlers = Handlers(
            store=store,
            held=self._held,
            dispatch=self.dispatch,
            starts=self._starts,
            values=self.values,
            new_id=self.new_id,
            now=now,
            queue=self._queue.append,
            on_end=on_end,
            stepper=lambda neighbours: Stepper(
                registry=registry,
                around=around,
                values=self.values,
                neighbours=neighbours,
                questions=Questions(
                    registry=registry,
                    around=around,
                    values=self.values,
                    neighbours=neighbours,
                    now=now,
                    find_template=store.template,
                    encrypt=encrypt,
                ),
                now=now,
            ),
        )

    # What others ask

    @property
    def waiting(self) -> int:
        """How many messages wait: the bound of the start queue is on this."""
        return len(self._queue)

    @property
    def busy(self) -> bool:
        """Whether `drain` has something to do at once."""
        paused = self._paused_until is not None and self._now() < self._paused_until
        return not paused and bool(self._queue or self._held.again)

    def next_wake(self) -> datetime | None:
        """When `drain` must be called again though nothing has arrived."""
        if self._paused_until is not None:
            return self._paused_until
        moments = (self._next_timer, self.dispatch.next_offer())
        return min((m for m in moments if m is not None), default=None)

    def new_id(self) -> str:
        """A fresh execution id."""
        return self._ids.new(self._now())

    def failed_checks(self, start: Start) -> tuple[Check, ...]:
        """The checks of its flow that a start would not pass; `Refused` when there is none."""
        return self._starts.failed_checks(start)

    def transact(
        self,
        *,
        writes: Sequence[Write] = (),
        starts: Sequence[Start] = (),
        done: Done | None = None,
    ) -> None:
        """Queue writes and starts for one transaction: all of it or nothing."""
        self._queue.append(Transact(writes=writes, starts=starts, done=done))

    def change_values(
        self, changes: Sequence[KvWrite], done: Callable[[Exception | None], None]
    ) -> None:
        """Queue changes of the key-value store; `done` is called after the commit."""
        self._queue.append(Transact(kv=changes, done=lambda outcome: done(outcome.error)))

    def start_and_wait(self, start: Start, done: Done) -> None:
        """Start an execution; `done` is called when it has ended."""
        self._queue.append(Transact(starts=(start,), done=done, wait=True))

    def tell(self, execution_id: str, *events: e.Event, done: Done | None = None) -> None:
        """Queue events for one execution."""
        self._queue.append(
            Tell(execution_id=execution_id, make=lambda _live, _at: events, done=done)
        )

    def tell_when(
        self,
        execution_id: str,
        make: Callable[[Live, datetime], Sequence[e.Event]],
        done: Done | None = None,
    ) -> None:
        """Queue events that depend on how the execution stands; `make` may raise `Refused`."""
        self._queue.append(Tell(execution_id=execution_id, make=make, done=done))

    def remove(self, message: Remove) -> None:
        """Delete an execution with its task runs, logs and metrics, but for what it keeps."""
        self._queue.append(message)

    def act_on_many(
        self,
        deeds: Sequence[Deed],
        done: Done,
        *,
        check: bool = False,
        leave_out: bool = False,
    ) -> None:
        """Queue the same for many executions: all of it or nothing, in one transaction."""
        self._queue.append(Many(deeds=deeds, done=done, check=check, leave_out=leave_out))

    def report(self, report: Report) -> None:
        """A runner reports the end of a job."""
        self._queue.append(Reported(report=report))

    def lines(self, job: JobId, lines: Sequence[Sequence[Any]], task_id: str | None = None) -> None:
        """A runner sends log lines of a job, or of one task of a WorkingDirectory."""
        self._queue.append(Lines(job=job, lines=lines, task_id=task_id))

    def started(self, job: JobId, at: datetime | None = None) -> None:
        """A runner has begun a job, a moment ago when `at` says so."""
        execution_id, key, attempt = job
        if "?" not in key:
            self._queue.append(
                Tell(
                    execution_id=execution_id,
                    make=lambda _live, at: (e.JobStarted(at=at, key=RunKey(key), attempt=attempt),),
                    at=at,
                )
            )

    def runner_joined(self, seat: RunnerSeat) -> None:
        """A runner offers its slots; jobs that wait are handed to it with the next batch."""
        self.dispatch.join(seat)
        self._queue.append(Transact())

    def runner_left(self, name: str) -> None:
        """A runner is gone; its jobs are lost, or stopped when it had said that it would leave."""
        planned = self.dispatch.is_leaving(name)
        self._queue.extend(Lost(job=job, planned=planned) for job in self.dispatch.leave(name))

    def look_at_waiting(self) -> None:
        """Look at jobs that wait: the runners that could take them may have gone away."""
        if self.dispatch.waiting:
            self._queue.append(Stranded())

    def runner_leaving(self, name: str) -> None:
        """A runner is being stopped: it gets no more jobs."""
        self.dispatch.retire(name)

    def returned(self, job: JobId) -> None:
        """A runner that is being stopped gives back a job that it has not begun."""
        self._queue.append(Returned(job=job))

    def recover(self) -> int:
        """Take up what was under way when the service stopped; gives the number of executions."""
        found = under_way(self.store)
        self._queue.extend(found.messages)
        self._held.working.jobs_ended.extend(found.obsolete)
        return found.executions

    # The loop

    def drain(self) -> int:
        """Handle one batch; gives the number of messages and executions it dealt with."""
        if self._paused_until is not None:
            if self._now() < self._paused_until:
                return 0
            self._paused_until = None
        if self._watch is not None and (by := self._watch.jump(self._now())) is not None:
            log.warning("%s", said(by))
            self._queue.appendleft(ClockSet(by=by))
        self._collect_timers()
        count = 1 if self._one_by_one else MESSAGES_A_BATCH
        taken = [self._queue.popleft() for _ in range(min(count, len(self._queue)))]
        self._one_by_one = max(self._one_by_one - len(taken), 0)
        again = list(self._held.again.values())
        if not taken and not again and not self._held.working.jobs_ended and not self._offers():
            return 0
        self._held.again.clear()
        todo = deque(taken)
        try:
            while todo:
                self._handlers.handle(todo.popleft())
            for live in again:
                self._held.guarded(live, None, partial(self._handlers.advance, live))
            self._handlers.finish()
        except Exception as fault:  # noqa: BLE001 - the store cannot be read, or the fault is ours
            self._queue.extendleft(reversed(todo))
            self._take_back(fault)
            return len(taken)
        self._commit()
        return len(taken) + len(again)

    def _offers(self) -> bool:
        """Whether a job has waited long enough for the runners that suit it best."""
        due = self.dispatch.next_offer()
        return due is not None and due <= self._now()

    def _collect_timers(self) -> None:
        now = self._now()
        if self._next_timer is not None and now >= self._next_timer:
            for row in self.store.due_timers(now, TIMERS_A_BATCH):
                self._queue.appendleft(row)
            self._next_timer = None
            self._timers_changed = True

    def _take_back(self, fault: Exception) -> None:
        """The batch cannot be finished; a message that is at fault by itself ends its execution."""
        working, self._held.working = self._held.working, Working()
        self.values.forget()
        alone = working.handled[0] if len(working.handled) == 1 else None
        named = None if alone is None else execution_of(alone)
        if alone is not None and named is not None and not hasattr(fault, "status"):
            log.error("execution %s: %s failed", named, type(alone).__name__, exc_info=fault)
            live = self._held.lives.pop(named, None)
            self._held.give_up(named, fault, () if live is None else live.waiters)
            self._held.answer_failure(alone, fault)
            self._queue.appendleft(Transact())
            return
        self._undo(working, fault)

    # The commit

    def _commit(self) -> None:
        working, self._held.working = self._held.working, Working()
        try:
            batch = batch_of(working, self._on_change)
            if batch:
                self.store.write(batch)
        except Exception as fault:  # noqa: BLE001 - whatever it is, the batch is not written
            self._undo(working, fault)
            return
        finally:
            self.values.forget()
        self.trouble = None
        self._settle(working, batch)
        self._listener.committed(batch)
        for action in working.after:
            carefully(action)

    def _settle(self, working: Working, batch: Batch) -> None:
        self._handlers.slots.settled()
        for live in working.touched.values():
            written = batch.executions.get(live.id)
            if written is not None:
                live.read_version = written.execution.version
                live.fold.saved(written.execution.version)
                live.told = len(written.execution.history)
            working.after.extend(live.part.after)
            live.part = Part()
            if live.state.terminal and not live.busy:
                self._held.lives.pop(live.id, None)
        for timer in batch.timers:
            if self._next_timer is None or timer.at < self._next_timer:
                self._next_timer = timer.at
        if self._timers_changed or batch.timers_ended:
            self._next_timer = self.store.next_timer()
            self._timers_changed = False
        self._held.let_go()

    def _undo(self, working: Working, fault: Exception) -> None:
        """The batch was not written: forget what it decided, and try its messages one at a time."""
        if not isinstance(fault, Refused):
            # What carries a status has said all there is to say; anything else is a fault of ours.
            unforeseen = None if hasattr(fault, "status") else fault
            log.error("the store did not take a batch: %s", fault, exc_info=unforeseen)
            self.trouble = f"the store does not take writes: {fault}"
        for live in working.touched.values():
            for row in live.part.jobs:
                self.dispatch.free((row.execution_id, row.key, row.attempt))
            self._held.lives.pop(live.id, None)
            self._held.again.pop(live.id, None)
        for row in working.jobs_assigned:
            self.dispatch.free((row.execution_id, row.key, row.attempt))
            self.dispatch.wait(replace(row, runner=None))
        self._handlers.slots.forget()
        if len(working.handled) > 1:
            self._queue.extendleft(reversed(working.handled))
            self._one_by_one = len(working.handled)
            self._requeue_steps(working)
            return
        self._requeue_steps(working)
        for message in working.handled:
            done = getattr(message, "done", None)
            if done is not None:
                carefully(partial(done, Outcome(error=fault)))
            else:
                self._queue.appendleft(message)
                self._paused_until = self._now() + PAUSE_AFTER_FAILURE
        if not working.handled:
            self._paused_until = self._now() + PAUSE_AFTER_FAILURE

    def _requeue_steps(self, working: Working) -> None:
        told = {getattr(m, "execution_id", None) for m in working.handled}
        for live in working.touched.values():
            if live.read_version is not None and live.id not in told:
                self._queue.append(Recover(execution_id=live.id, has_rows=self._rows_of(live.id)))

    def _rows_of(self, execution_id: str) -> frozenset[tuple[str, int]]:
        rows = (row for row in self.store.jobs() if row.execution_id == execution_id)
        return frozenset((row.key, row.attempt) for row in rows)
