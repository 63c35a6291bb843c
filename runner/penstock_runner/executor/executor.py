"""The drain loop: take what has happened, decide, write once, then act.

Everything that happens to executions comes in as a message in one queue. `drain` takes a batch,
writes all that follows in one transaction, and only then sends jobs, answers those who wait and
tells followers. Nothing of a batch is visible before it is durable; a batch that cannot be written
is taken apart, so that one bad execution stops nobody else.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Protocol

from penstock_runner.engine import commands as c
from penstock_runner.engine import events as e
from penstock_runner.engine.state import Execution, RunKey, State
from penstock_runner.executor.dispatch import Dispatch, RunnerSeat
from penstock_runner.executor.flows import Flows
from penstock_runner.executor.ids import ExecutionIds
from penstock_runner.executor.inline import Surroundings
from penstock_runner.executor.jobs import evaluation_job, task_job
from penstock_runner.executor.live import SLOT_STATES, Live, Part
from penstock_runner.executor.messages import Done, Outcome, Refused, Start
from penstock_runner.executor.reports import ReportReader
from penstock_runner.executor.starts import Starts
from penstock_runner.executor.step import Stepper
from penstock_runner.executor.store import (
    Batch,
    ExecutionWrite,
    JobRow,
    KvWrite,
    MailRow,
    Store,
    TimerRow,
    Write,
)
from penstock_runner.executor.values import Values
from penstock_runner.jobs.protocol import JobId, Report
from penstock_runner.tasks.registry import Registry

MESSAGES_A_BATCH = 500
TIMERS_A_BATCH = 500
HELD_EXECUTIONS = 20_000
PAUSE_AFTER_FAILURE = timedelta(seconds=1)

log = logging.getLogger(__name__)


class Listener(Protocol):
    """Told after each commit, to feed those who follow."""

    def committed(self, batch: Batch) -> None: ...


@dataclass(slots=True, kw_only=True)
class Transact:
    """Writes and starts of one transaction."""

    writes: Sequence[Write] = ()
    starts: Sequence[Start] = ()
    kv: Sequence[KvWrite] = ()
    done: Done | None = None
    wait: bool = False


@dataclass(slots=True, kw_only=True)
class Tell:
    """Events for one execution. `make` builds them once the execution is known."""

    execution_id: str
    make: Callable[[Live, datetime], Sequence[e.Event]]
    done: Done | None = None


@dataclass(slots=True, kw_only=True)
class Lines:
    """Log lines of a job."""

    job: JobId
    lines: Sequence[Sequence[Any]]
    task_id: str | None = None


@dataclass(slots=True, kw_only=True)
class Reported:
    """A job has ended."""

    report: Report


@dataclass(slots=True, kw_only=True)
class Lost:
    """The runner of a job is gone."""

    job: JobId


@dataclass(slots=True, kw_only=True)
class Recover:
    """An execution that was under way when the service stopped."""

    execution_id: str
    has_rows: frozenset[tuple[str, int]] = frozenset()


@dataclass(slots=True, kw_only=True)
class Remove:
    """An execution is to be deleted with all that belongs to it."""

    execution_id: str
    done: Done | None = None


Message = Transact | Tell | Lines | Reported | Lost | Recover | Remove | TimerRow | MailRow


@dataclass(slots=True)
class Working:
    """The batch under construction."""

    touched: dict[str, Live] = field(default_factory=dict)
    writes: list[Write] = field(default_factory=list)
    kv: list[KvWrite] = field(default_factory=list)
    jobs_assigned: list[JobRow] = field(default_factory=list)
    jobs_ended: list[tuple[str, str, int]] = field(default_factory=list)
    timers_ended: list[tuple[str, str, int, str]] = field(default_factory=list)
    mail_ended: list[int] = field(default_factory=list)
    mail: deque[MailRow] = field(default_factory=deque)
    deleted: list[str] = field(default_factory=list)
    idempotency: list[tuple[str, str, datetime]] = field(default_factory=list)
    after: list[Callable[[], None]] = field(default_factory=list)
    handled: list[Message] = field(default_factory=list)
    failed: list[tuple[Message, Exception]] = field(default_factory=list)


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
        on_end: Callable[[Execution], Sequence[Write]] | None = None,
        encrypt: Callable[[str], str] | None = None,
    ) -> None:
        self.store = store
        self.flows = flows
        self.dispatch = Dispatch()
        self.trouble: str | None = None
        self._now = now
        self._listener = listener
        self._constants = dict(constants or {})
        self._on_end = on_end
        self._ids = ExecutionIds()
        self._queue: deque[Message] = deque()
        self._again: dict[str, Live] = {}
        self._live: dict[str, Live] = {}
        self._slots: dict[tuple[str, str], int] = {}
        self._queued: dict[tuple[str, str], deque[str]] = {}
        self._working = Working()
        self._one_by_one = 0
        self._paused_until: datetime | None = None
        self._next_timer: datetime | None = store.next_timer()
        self.values = Values(store)
        self._starts = Starts(flows, around, self.values, now, encrypt)
        self._reports = ReportReader()
        self._stepper = Stepper(
            registry=registry, around=around, values=self.values, neighbours=self, now=now
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
        return not paused and bool(self._queue or self._again)

    def next_wake(self) -> datetime | None:
        """When `drain` must be called again though nothing has arrived."""
        moments = [m for m in (self._next_timer, self._paused_until) if m is not None]
        return min(moments, default=None)

    def new_id(self) -> str:
        """A fresh execution id."""
        return self._ids.new(self._now())

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

    def remove(self, execution_id: str, done: Done | None = None) -> None:
        """Delete an execution with its task runs, logs and metrics."""
        self._queue.append(Remove(execution_id=execution_id, done=done))

    def report(self, report: Report) -> None:
        """A runner reports the end of a job."""
        self._queue.append(Reported(report=report))

    def lines(self, job: JobId, lines: Sequence[Sequence[Any]], task_id: str | None = None) -> None:
        """A runner sends log lines of a job, or of one task of a WorkingDirectory."""
        self._queue.append(Lines(job=job, lines=lines, task_id=task_id))

    def started(self, job: JobId) -> None:
        """A runner has begun a job."""
        execution_id, key, attempt = job
        if "?" not in key:
            self.tell_when(
                execution_id,
                lambda _live, at: (e.JobStarted(at=at, key=RunKey(key), attempt=attempt),),
            )

    def runner_joined(self, seat: RunnerSeat) -> None:
        """A runner offers its slots; jobs that wait are handed to it with the next batch."""
        self.dispatch.join(seat)
        self._queue.append(Transact())

    def runner_left(self, name: str) -> None:
        """A runner is gone; its jobs are lost."""
        self._queue.extend(Lost(job=job) for job in self.dispatch.leave(name))

    def recover(self) -> int:
        """Take up what was under way when the service stopped; gives the number of executions."""
        rows: dict[str, list[JobRow]] = {}
        for row in self.store.jobs():
            rows.setdefault(row.execution_id, []).append(row)
        asleep: dict[str, set[tuple[str, int]]] = {}
        for timer in self.store.due_timers(datetime.max.replace(tzinfo=self._now().tzinfo), 10**6):
            asleep.setdefault(timer.execution_id, set()).add((timer.key, timer.attempt))
        self._queue.extend(self.store.mail(10**6))
        ids = self.store.unended()
        for execution_id in ids:
            known: set[tuple[str, int]] = set(asleep.get(execution_id, ()))
            for row in rows.get(execution_id, ()):
                if row.purpose:
                    self._working.jobs_ended.append((row.execution_id, row.key, row.attempt))
                    continue
                known.add((row.key, row.attempt))
                if row.runner is None:
                    self.dispatch.wait(row)
                else:
                    self._queue.append(Lost(job=(row.execution_id, row.key, row.attempt)))
            self._queue.append(Recover(execution_id=execution_id, has_rows=frozenset(known)))
        return len(ids)

    # The loop

    def drain(self) -> int:
        """Handle one batch; gives the number of messages and executions it dealt with."""
        if self._paused_until is not None:
            if self._now() < self._paused_until:
                return 0
            self._paused_until = None
        self._collect_timers()
        count = 1 if self._one_by_one else MESSAGES_A_BATCH
        taken = [self._queue.popleft() for _ in range(min(count, len(self._queue)))]
        self._one_by_one = max(self._one_by_one - len(taken), 0)
        again = list(self._again.values())
        if not taken and not again and not self._working.jobs_ended:
            return 0
        self._again.clear()
        for message in taken:
            self._handle(message)
        for live in again:
            self._guarded(live, None, partial(self._advance, live))
        self._deliver_mail()
        self._assign_waiting()
        self._commit()
        return len(taken) + len(again)

    def _collect_timers(self) -> None:
        now = self._now()
        if self._next_timer is not None and now >= self._next_timer:
            for row in self.store.due_timers(now, TIMERS_A_BATCH):
                self._queue.appendleft(row)
            self._next_timer = None

    def _handle(self, message: Message) -> None:
        self._working.handled.append(message)
        match message:
            case Transact():
                self._transact(message)
            case Tell():
                self._tell(message)
            case Lines():
                self._lines(message)
            case Reported():
                self._reported(message)
            case Lost():
                self._lost(message)
            case Recover():
                self._recover(message)
            case Remove():
                self._remove(message)
            case TimerRow():
                self._timer(message)
            case MailRow():
                self._mail(message)

    def _transact(self, message: Transact) -> None:
        made: list[Live] = []
        existing: list[Execution] = []
        try:
            for start in message.starts:
                known = self._known_start(start)
                if known is not None:
                    existing.append(known)
                else:
                    made.append(self._create(start))
        except Refused as refused:
            for live in made:
                self._drop(live)
            self._answer_failure(message, refused)
            return
        self._working.writes.extend(message.writes)
        for change in message.kv:
            self.values.change(change)
            self._working.kv.append(change)
        created = tuple(live.base for live in made) + tuple(existing)
        done = message.done
        if done is not None and message.wait and made:
            made[0].waiters.append(lambda execution: done(Outcome(executions=(execution,))))
        elif done is not None:
            self._working.after.append(lambda: done(Outcome(executions=created)))
        for live in made:
            self._guarded(live, message, partial(self._begin, live))

    def _known_start(self, start: Start) -> Execution | None:
        if start.idempotency_key is None:
            return None
        now_made = next(
            (i for k, i, _ in self._working.idempotency if k == start.idempotency_key), None
        )
        known = now_made or self.store.execution_of_key(start.idempotency_key)
        if known is None:
            return None
        if known in self._live:
            return self._live[known].execution()
        return self.store.load([known]).get(known)

    def _create(self, start: Start) -> Live:
        loaded, execution = self._starts.prepare(start, start.id or self.new_id())
        live = Live(loaded, execution, self._constants, new=True)
        live.replay_from = start.replay_from
        self._live[live.id] = live
        self._working.touched[live.id] = live
        if start.idempotency_key is not None:
            self._working.idempotency.append((start.idempotency_key, live.id, self._now()))
        return live

    def _begin(self, live: Live) -> None:
        at = live.time(self._now())
        if live.replay_from is not None:
            live.feed(e.ReplayRequested(at=at, key=live.replay_from))
            self._advance(live)
            return
        if live.base.schedule_date is not None and live.base.schedule_date > at:
            live.part.timers.append(
                TimerRow(
                    execution_id=live.id,
                    key="",
                    attempt=0,
                    purpose="schedule",
                    at=live.base.schedule_date,
                )
            )
            live.part.events.append(e.LabelsSet(at=at, labels={}))
            return
        limit = live.loaded.flow.concurrency
        if limit is not None and self._taken(live.loaded.name) >= limit.limit:
            self._refuse_slot(live, limit.behavior, at)
        else:
            live.feed(e.Started(at=at))
        self._advance(live)

    def _refuse_slot(self, live: Live, behavior: str, at: datetime) -> None:
        states = {"QUEUE": State.QUEUED, "CANCEL": State.CANCELLED, "FAIL": State.FAILED}
        if behavior == "QUEUE":
            self._queue_of(live.loaded.name).append(live.id)
        live.feed(e.Queued(at=at, state=states[behavior]))

    def _tell(self, message: Tell) -> None:
        live = self._get(message.execution_id)
        if live is None:
            self._answer_failure(message, Refused("execution not found", status=404))
            return

        shown: list[Execution] = []

        def act() -> None:
            at = live.time(self._now())
            for event in message.make(live, at):
                live.feed(event, shown)
            shown.append(live.execution())
            self._advance(live)

        if self._guarded(live, message, act) and message.done is not None:
            done = message.done
            self._working.after.append(lambda: done(Outcome(executions=(shown[0],))))

    def _lines(self, message: Lines) -> None:
        live = self._get(message.job[0])
        if live is not None:
            keep = self._reports.keep_lines
            act = partial(keep, live, message.job, message.lines, message.task_id)
            self._guarded(live, message, act)

    def _reported(self, message: Reported) -> None:
        report = message.report
        job: JobId = (report.execution_id, report.key, report.attempt)
        self.dispatch.free(job)
        live = self._get(report.execution_id)
        if live is None:
            self._working.jobs_ended.append(job)
            return

        def act() -> None:
            live.part.jobs_ended.append(job)
            at = live.time(self._now())
            asked = live.evaluating.pop(job, None)
            if asked is not None:
                values = dict(report.outputs or {})
                self._stepper.answer(live, asked, values, report.error, at)
            elif "?" not in report.key:
                for event in self._reports.events(live, report, at):
                    live.feed(event)
            self._advance(live)

        self._guarded(live, message, act)

    def _lost(self, message: Lost) -> None:
        live = self._get(message.job[0])
        _, key, attempt = message.job
        if live is None:
            self._working.jobs_ended.append(message.job)
            return

        def act() -> None:
            live.part.jobs_ended.append(message.job)
            asked = live.evaluating.pop(message.job, None)
            if asked is not None:
                live.commands.append(asked)
            else:
                at = live.time(self._now())
                live.feed(e.JobLost(at=at, key=RunKey(key), attempt=attempt))
            self._advance(live)

        self._guarded(live, message, act)

    def _recover(self, message: Recover) -> None:
        live = self._get(message.execution_id)
        if live is None or live.state.terminal:
            return

        def act() -> None:
            if live.state is State.CREATED and not live.fold.runs:
                if live.base.schedule_date is None:
                    self._begin(live)
                return
            for command in live.fold.pending():
                if isinstance(command, c.RunJob):
                    if (command.key, command.attempt) not in message.has_rows:
                        live.runnable[(command.key, command.attempt)] = command
                elif (
                    not isinstance(command, c.StartTimer)
                    or (command.key or "", command.attempt) not in message.has_rows
                ):
                    live.commands.append(command)
            self._advance(live)

        self._guarded(live, message, act)

    def _remove(self, message: Remove) -> None:
        live = self._get(message.execution_id)
        if live is None:
            self._answer_failure(message, Refused("execution not found", status=404))
            return
        execution = live.execution()
        for seat in self.dispatch.seats:
            for job in [job for job in seat.busy if job[0] == live.id]:
                self._send_cancel(seat, job)
        self._drop(live)
        self._working.deleted.append(message.execution_id)
        if message.done is not None:
            done = message.done
            self._working.after.append(lambda: done(Outcome(executions=(execution,))))

    def _timer(self, row: TimerRow) -> None:
        live = self._get(row.execution_id)
        name = (row.execution_id, row.key, row.attempt, row.purpose)
        if live is None:
            self._working.timers_ended.append(name)
            return

        def act() -> None:
            live.part.timers_ended.append(name)
            at = live.time(self._now())
            key = RunKey(row.key)
            if row.purpose == "sleep":
                live.sleeping.discard((key, row.attempt))
                live.feed(e.JobEnded(at=at, key=key, attempt=row.attempt, state=State.SUCCESS))
            elif row.purpose == "schedule":
                if live.state is State.CREATED:
                    live.feed(e.Started(at=at))
            elif row.purpose == "new-execution":
                self._replay_from_start(live)
            else:
                fired = e.TimerFired(
                    at=at, key=key or None, attempt=row.attempt, purpose=row.purpose
                )
                live.feed(fired)
            self._advance(live)

        self._guarded(live, row, act)

    def _mail(self, row: MailRow) -> None:
        live = self._get(row.execution_id)
        if row.id:
            self._working.mail_ended.append(row.id)
        if live is not None:
            self._guarded(live, row, lambda: self._read_mail(live, row))

    def _deliver_mail(self) -> None:
        while self._working.mail:
            row = self._working.mail.popleft()
            live = self._get(row.execution_id)
            if live is not None:
                self._guarded(live, row, partial(self._read_mail, live, row))

    def _read_mail(self, live: Live, row: MailRow) -> None:
        at = live.time(self._now())
        live.feed(
            e.SubflowEnded(
                at=at,
                key=RunKey(row.body["key"]),
                attempt=row.body["attempt"],
                execution_id=row.body["execution_id"],
                state=State(row.body["state"]),
                outputs=row.body.get("outputs"),
                index=row.body.get("index", 0),
            )
        )
        self._advance(live)

    def _advance(self, live: Live) -> None:
        self._working.touched[live.id] = live
        self._stepper.run(live)
        self._recount(live)
        if live.busy:
            self._again[live.id] = live

    # Neighbours of a step

    def start_child(self, parent: Live, command: c.StartSubflow, at: datetime) -> None:
        """Create the child execution of a task run, in the same transaction."""
        try:
            start = self._starts.of_subflow(parent, command, self.new_id())
            child = self._create(start)
        except Refused as refused:
            failed = e.JobEnded(
                at=at,
                key=command.key,
                attempt=command.attempt,
                state=State.FAILED,
                error=str(refused),
            )
            self._starts.log_refusal(parent, command, str(refused), at)
            parent.feed(failed)
            return
        self._starts.log_creation(parent, command, child.base, at)
        parent.children.setdefault(command.key, []).append(child.id)
        parent.feed(
            e.SubflowStarted(
                at=at,
                key=command.key,
                attempt=command.attempt,
                execution_id=child.id,
                index=command.index,
            )
        )
        self._guarded(child, None, lambda: self._begin(child))

    def kill_children(self, live: Live, command: c.KillSubflow, at: datetime) -> None:  # noqa: ARG002 - each has a time of its own
        """Kill a child execution, or all of the task run when none is named, with the next batch."""
        ids = [command.execution_id] if command.execution_id else live.children.get(command.key, ())
        for execution_id in ids:
            self.tell_when(execution_id, _kill_unless_ended)

    def retry_execution(self, live: Live, at: datetime) -> None:
        """A new execution of the same flow takes over at `at`."""
        live.part.timers.append(
            TimerRow(execution_id=live.id, key="", attempt=0, purpose="new-execution", at=at)
        )

    def new_job(self, live: Live, row: JobRow) -> None:
        """A job is made, assigned at once when a runner has a free slot."""
        seat = self.dispatch.choose(row.required)
        if seat is None:
            live.part.jobs.append(row)
            self.dispatch.wait(row)
            return
        row = replace(row, runner=seat.name)
        live.part.jobs.append(row)
        self._hand_out(live, row, seat, live.part.after)

    def cancel_job(self, live: Live, key: RunKey, attempt: int, at: datetime) -> bool:  # noqa: ARG002
        """Stop a job; False when no runner has it, so that it ends here and now."""
        job: JobId = (live.id, key, attempt)
        seat = self.dispatch.seat_of(job)
        if seat is not None:
            live.part.after.append(lambda: self._send_cancel(seat, job))
            return True
        self.dispatch.free(job)
        live.part.jobs_ended.append(job)
        return False

    def ended(self, live: Live, at: datetime) -> None:  # noqa: ARG002
        """The execution has ended: its parent, its trigger and those who wait are told."""
        execution = live.execution()
        parent = live.base.facts.get("parentRun")
        if isinstance(parent, list | tuple):
            body = {
                "key": parent[1],
                "attempt": parent[2],
                "index": parent[3],
                "execution_id": execution.id,
                "state": execution.state.value,
                "outputs": execution.outputs,
            }
            self._working.mail.append(MailRow(execution_id=str(parent[0]), body=body))
        if self._on_end is not None:
            live.part.writes.extend(self._on_end(execution))
        waiters, live.waiters = live.waiters, []
        for waiter in waiters:
            live.part.after.append(partial(waiter, execution))

    # Slots

    def _taken(self, name: tuple[str, str]) -> int:
        if name not in self._slots:
            self._slots[name] = self.store.slots_taken(*name)
        return self._slots[name]

    def _queue_of(self, name: tuple[str, str]) -> deque[str]:
        if name not in self._queued:
            self._queued[name] = deque(self.store.oldest_queued(*name, 10**6))
        return self._queued[name]

    def _recount(self, live: Live) -> None:
        limit = live.loaded.flow.concurrency
        if limit is None:
            return
        holds = live.state in SLOT_STATES
        if holds == live.counted:
            return
        name = live.loaded.name
        taken = self._taken(name)
        live.counted = holds
        self._slots[name] = taken + (1 if holds else -1)
        queue = self._queue_of(name)
        while queue and self._slots[name] < limit.limit:
            waiting = self._get(queue.popleft())
            if waiting is not None and waiting.state is State.QUEUED:
                self._guarded(waiting, None, partial(self._start_queued, waiting))

    def _start_queued(self, live: Live) -> None:
        live.feed(e.Started(at=live.time(self._now())))
        self._advance(live)

    # Jobs

    def _hand_out(
        self, live: Live, row: JobRow, seat: RunnerSeat, after: list[Callable[[], None]]
    ) -> None:
        job_id: JobId = (row.execution_id, row.key, row.attempt)
        self.dispatch.take(seat, job_id)
        asked = live.evaluating.get(job_id)
        job = evaluation_job(live, row, asked) if asked is not None else task_job(live, row)
        after.append(lambda: seat.send(job.to_wire()))

    def _assign_waiting(self) -> None:
        while (found := self.dispatch.next_assignable()) is not None:
            row, seat = found
            live = self._get(row.execution_id)
            if live is None or (not row.purpose and RunKey(row.key) not in live.fold.runs):
                self._working.jobs_ended.append((row.execution_id, row.key, row.attempt))
                continue
            row = replace(row, runner=seat.name)
            self._working.jobs_assigned.append(row)
            self._working.touched[live.id] = live
            self._hand_out(live, row, seat, self._working.after)

    def _send_cancel(self, seat: RunnerSeat, job: JobId) -> None:
        seat.send({"type": "cancel", "execution_id": job[0], "key": job[1], "attempt": job[2]})

    def _replay_from_start(self, live: Live) -> None:
        start = self._starts.of_retry(live, self.new_id())
        child = self._create(start)
        self._guarded(child, None, lambda: self._begin(child))

    # Holding executions

    def _get(self, execution_id: str) -> Live | None:
        live = self._live.get(execution_id)
        if live is None:
            execution = self.store.load([execution_id]).get(execution_id)
            if execution is None or execution_id in self._working.deleted:
                return None
            try:
                loaded = self.flows.get(
                    execution.namespace, execution.flow_id, execution.flow_revision
                )
            except Refused:
                log.exception("the flow of execution %s cannot be read", execution_id)
                return None
            live = Live(loaded, execution, self._constants, new=False)
            live.lines = self.store.last_line(execution_id)
            self._live[execution_id] = live
        self._working.touched[execution_id] = live
        return live

    def _drop(self, live: Live) -> None:
        self._live.pop(live.id, None)
        self._again.pop(live.id, None)
        self._working.touched.pop(live.id, None)
        for row in live.part.jobs:
            self.dispatch.free((row.execution_id, row.key, row.attempt))

    def _guarded(self, live: Live, message: Message | None, act: Callable[[], None]) -> bool:
        """Do something to one execution; a fault drops what the batch did to it, and only that."""
        try:
            act()
        except Refused as refused:
            if message is not None:
                self._answer_failure(message, refused)
            return False
        except Exception as fault:
            log.exception("execution %s: %s failed", live.id, type(message).__name__)
            self._drop(live)
            if message is not None:
                self._answer_failure(message, fault)
            return False
        return True

    def _answer_failure(self, message: Message, error: Exception) -> None:
        done = getattr(message, "done", None)
        if done is not None:
            self._working.after.append(lambda: done(Outcome(error=error)))

    # The commit

    def _commit(self) -> None:
        working, self._working = self._working, Working()
        batch = self._batch_of(working)
        try:
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
            _carefully(action)

    def _batch_of(self, working: Working) -> Batch:
        batch = Batch(
            writes=working.writes,
            kv=working.kv,
            jobs_assigned=working.jobs_assigned,
            jobs_ended=working.jobs_ended,
            timers_ended=working.timers_ended,
            mail_ended=working.mail_ended,
            idempotency=working.idempotency,
            executions_deleted=working.deleted,
        )
        for live in working.touched.values():
            part = live.part
            if part.events or live.read_version is None:
                execution = live.execution()
                version = (live.read_version or 0) + 1
                batch.executions[live.id] = ExecutionWrite(
                    execution=replace(execution, version=version),
                    read_version=live.read_version,
                    changed=part.changed,
                    removed=part.removed,
                    events=part.events,
                )
            batch.jobs.extend(part.jobs)
            batch.jobs_ended.extend(part.jobs_ended)
            batch.timers.extend(part.timers)
            batch.timers_ended.extend(part.timers_ended)
            batch.logs.extend(part.logs)
            batch.metrics.extend(part.metrics)
            batch.kv.extend(part.kv)
            batch.mail.extend(part.mail)
            batch.writes.extend(part.writes)
        _cancel_out(batch)
        return batch

    def _settle(self, working: Working, batch: Batch) -> None:
        for live in working.touched.values():
            written = batch.executions.get(live.id)
            if written is not None:
                live.read_version = written.execution.version
                live.fold.saved(written.execution.version)
            working.after.extend(live.part.after)
            live.part = Part()
            if live.state.terminal and not live.busy:
                self._live.pop(live.id, None)
        for timer in batch.timers:
            if self._next_timer is None or timer.at < self._next_timer:
                self._next_timer = timer.at
        if self._next_timer is None or batch.timers_ended:
            self._next_timer = self.store.next_timer()
        if len(self._live) > HELD_EXECUTIONS:
            self._let_go()

    def _let_go(self) -> None:
        for live in list(self._live.values()):
            if len(self._live) <= HELD_EXECUTIONS // 2:
                return
            if not (live.busy or live.evaluating or live.waiters):
                del self._live[live.id]

    def _undo(self, working: Working, fault: Exception) -> None:
        """The batch was not written: forget what it decided, and try its messages one at a time."""
        if not isinstance(fault, Refused):
            log.error("the store did not take a batch: %s", fault, exc_info=fault)
            self.trouble = f"the store does not take writes: {fault}"
        for live in working.touched.values():
            for row in live.part.jobs:
                self.dispatch.free((row.execution_id, row.key, row.attempt))
            self._live.pop(live.id, None)
            self._again.pop(live.id, None)
        for row in working.jobs_assigned:
            self.dispatch.free((row.execution_id, row.key, row.attempt))
            self.dispatch.wait(replace(row, runner=None))
        self._slots.clear()
        self._queued.clear()
        if len(working.handled) > 1:
            self._queue.extendleft(reversed(working.handled))
            self._one_by_one = len(working.handled)
            self._requeue_steps(working)
            return
        self._requeue_steps(working)
        for message in working.handled:
            done = getattr(message, "done", None)
            if done is not None:
                _carefully(partial(done, Outcome(error=fault)))
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


def _cancel_out(batch: Batch) -> None:
    """A job or timer that was made and ended within the batch need not be written at all."""
    ended = set(batch.jobs_ended)
    if ended and batch.jobs:
        made = {(row.execution_id, str(row.key), row.attempt) for row in batch.jobs}
        batch.jobs = [
            row for row in batch.jobs if (row.execution_id, row.key, row.attempt) not in ended
        ]
        batch.jobs_ended = [job for job in batch.jobs_ended if job not in made]


def _carefully(action: Callable[[], None]) -> None:
    """After the commit nothing may stop the loop: what others do with the news is their concern."""
    try:
        action()
    except Exception:
        log.exception("after the commit")


def _kill_unless_ended(live: Live, at: datetime) -> Sequence[e.Event]:
    return () if live.state.terminal else (e.KillRequested(at=at),)


def lives(executor: Executor) -> Iterable[Live]:
    """The executions in memory, for diagnostics."""
    return executor._live.values()  # noqa: SLF001
