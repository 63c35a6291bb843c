"""What each message does, one method a kind of message."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial

from penstock_runner.engine import commands as c
from penstock_runner.engine import events as e
from penstock_runner.engine.draft import WAITING
from penstock_runner.engine.state import REQUEST, Execution, RunKey, State
from penstock_runner.executor import placing
from penstock_runner.executor.admission import Admission
from penstock_runner.executor.broken import Broken
from penstock_runner.executor.children import keep_outputs
from penstock_runner.executor.clockwatch import said
from penstock_runner.executor.dispatch import Dispatch
from penstock_runner.executor.held import Held
from penstock_runner.executor.inbox import (
    ClockSet,
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
)
from penstock_runner.executor.jobs import job_row, of_flow
from penstock_runner.executor.live import Live
from penstock_runner.executor.many import Actions
from penstock_runner.executor.messages import Outcome, Refused, Start
from penstock_runner.executor.neighbourhood import Neighbourhood
from penstock_runner.executor.removals import Removals
from penstock_runner.executor.reports import ReportReader
from penstock_runner.executor.starts import Starts
from penstock_runner.executor.step import Stepper
from penstock_runner.executor.store import MailRow, Store, TimerRow, Write, pool_of
from penstock_runner.executor.timers import Timers
from penstock_runner.executor.values import Values
from penstock_runner.executor.waiting import id_of
from penstock_runner.flow.checks import level_of
from penstock_runner.flow.model import Level
from penstock_runner.jobs.protocol import JobId


class Handlers:
    """Turns messages into steps of executions, within the batch under construction."""

    def __init__(
        self,
        *,
        store: Store,
        held: Held,
        dispatch: Dispatch,
        starts: Starts,
        values: Values,
        new_id: Callable[[], str],
        now: Callable[[], datetime],
        queue: Callable[[Message], None],
        on_end: Callable[[Execution], Sequence[Write]],
        stepper: Callable[[Neighbourhood], Stepper],
    ) -> None:
        self._store = store
        self._held = held
        self._dispatch = dispatch
        self._starts = starts
        self._values = values
        self._now = now
        self.new_id = new_id
        self._admission = Admission(store=store, held=held, now=now, advance=self.advance)
        self.slots = self._admission.slots
        self.neighbours = Neighbourhood(
            held=held,
            dispatch=dispatch,
            starts=starts,
            queue=queue,
            begin=self._admission.begin,
            create=self._create,
            new_id=new_id,
            on_end=on_end,
        )
        self._timers = Timers(held, dispatch, now, self.advance, self._replay_from_start)
        self._broken = Broken(store=store, held=held, dispatch=dispatch, on_end=on_end, now=now)
        self._stepper = stepper(self.neighbours)
        self._reports = ReportReader()
        self._removals = Removals(store, held, dispatch, self.slots)
        self._actions = Actions(
            held=held,
            starts=starts,
            now=now,
            advance=self.advance,
            create=self._create,
            begin=self._admission.begin,
            removals=self._removals,
        )

    def handle(self, message: Message) -> None:  # noqa: C901, PLR0912 - one line for each message
        """Do what the message says."""
        self._held.working.handled.append(message)
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
            case Returned():
                self._returned(message)
            case Recover():
                self._recover(message)
            case Remove():
                self._removals.asked(message)
            case Many():
                self._actions.act(message)
            case ClockSet():
                self._clock_set(message)
            case Stranded():
                self._tell_stranded()
            case TimerRow():
                self._timers.fired(message)
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
                self._held.drop(live)
            self._held.answer_failure(message, refused)
            return
        self._held.working.writes.extend(message.writes)
        for change in message.kv:
            self._values.change(change)
            self._held.working.kv.append(change)
        done = message.done
        awaited = made[0] if made else self._going_on(existing)
        if done is not None and message.wait and awaited is not None:
            awaited.waiters.append(lambda execution: done(Outcome(executions=(execution,))))
        elif done is not None:
            self._held.working.after.append(
                lambda: done(Outcome(executions=(*map(_as_created, made), *existing)))
            )
        for live in made:
            self._held.guarded(live, message, partial(self._admission.begin, live))

    def _going_on(self, existing: Sequence[Execution]) -> Live | None:
        """The execution of an earlier start, if it has not ended."""
        live = self._held.get(existing[0].id) if existing else None
        return None if live is None or live.state.terminal else live

    def _known_start(self, start: Start) -> Execution | None:
        if start.idempotency_key is None:
            return None
        now_made = next(
            (i for k, i, _ in self._held.working.idempotency if k == start.idempotency_key), None
        )
        known = now_made or self._store.execution_of_key(start.idempotency_key)
        if known is None:
            return None
        held = self._held.lives.get(known)
        found = held.execution() if held is not None else self._store.load([known]).get(known)
        if found is not None and found.facts.get(REQUEST) != start.facts.get(REQUEST):
            raise Refused(
                f"Idempotency-Key '{start.idempotency_key}' was used to start execution {known} "
                "with another request; give this one a key of its own"
            )
        return found

    def _create(self, start: Start) -> Live:
        prepared = self._starts.prepare(start, start.id or self.new_id())
        live = self._held.new(prepared.loaded, prepared.execution)
        live.replay_from = start.replay_from
        live.failure = prepared.failure
        for check in prepared.notes:
            live.log(live.at, level_of(check), check.message)
        if start.replay_from is not None:
            live.told = len(prepared.execution.history)
            live.part.changed.update(prepared.execution.runs)
        if start.idempotency_key is not None:
            self._held.working.idempotency.append((start.idempotency_key, live.id, self._now()))
        return live

    def _tell(self, message: Tell) -> None:
        live = self._held.get(message.execution_id)
        if live is None:
            self._held.answer_failure(message, Refused("execution not found", status=404))
            return

        shown: list[Execution] = []

        def act() -> None:
            now = self._now()
            at = live.time(now if message.at is None else min(message.at, now))
            for event in message.make(live, at):
                live.feed(event, shown)
            shown.append(live.execution())
            self.advance(live)

        if self._held.guarded(live, message, act) and message.done is not None:
            done = message.done
            self._held.working.after.append(lambda: done(Outcome(executions=(shown[0],))))

    def _lines(self, message: Lines) -> None:
        live = self._held.get(message.job[0])
        if live is not None:
            keep = self._reports.keep_lines
            act = partial(keep, live, message.job, message.lines, message.task_id)
            self._held.guarded(live, message, act)

    def _reported(self, message: Reported) -> None:
        report = message.report
        job: JobId = (report.execution_id, report.key, report.attempt)
        self._dispatch.free(job)
        live = self._held.get(report.execution_id)
        if live is None:
            self._held.working.jobs_ended.append(job)
            return

        def act() -> None:
            live.part.jobs_ended.append(job)
            at = live.time(self._now())
            asked = live.evaluating.pop(job, None)
            if asked is not None:
                values = dict(report.outputs or {})
                self._stepper.questions.answer(live, asked, values, report.error, at)
            elif "?" not in report.key:
                for event in self._reports.events(live, report, at):
                    live.feed(event)
            self.advance(live)

        self._held.guarded(live, message, act)

    def _lost(self, message: Lost) -> None:
        live = self._held.get(message.job[0])
        _, key, attempt = message.job
        if live is None:
            self._held.working.jobs_ended.append(message.job)
            return

        def act() -> None:
            live.part.jobs_ended.append(message.job)
            asked = live.evaluating.pop(message.job, None)
            if asked is not None:
                live.commands.append(asked)
            else:
                at = live.time(self._now())
                lost = e.JobLost(at=at, key=RunKey(key), attempt=attempt, planned=message.planned)
                live.feed(lost)
            self.advance(live)

        self._held.guarded(live, message, act)

    def _returned(self, message: Returned) -> None:
        """The job waits for a runner as if it had never had one."""
        execution_id, key, attempt = message.job
        live = self._held.get(execution_id)
        run = None if live is None else live.fold.runs.get(RunKey(key))
        self._dispatch.free(message.job)
        if live is None or run is None or run.attempt != attempt or run.state not in WAITING:
            self._lost(Lost(job=message.job, planned=True))
            return
        asked = c.RunJob(key=run.key, attempt=attempt, task_id=run.task_id)
        at = live.time(self._now())
        row = job_row(live, asked, at, self._stepper.route_of(live, run.key, at).required)
        self._held.working.jobs_assigned.append(row)
        self._dispatch.wait(row)

    def _recover(self, message: Recover) -> None:
        live = self._held.get(message.execution_id)
        if live is None or live.fold.head.through:
            self._held.working.jobs_ended.extend(map(id_of, message.waiting))
            return
        for row in message.waiting:
            self._dispatch.wait(of_flow(live, row))

        def act() -> None:
            if live.state is State.CREATED and not live.fold.runs:
                if live.base.schedule_date is None:
                    self._admission.begin(live)
                return
            if live.state is State.QUEUED:
                self.slots.wake(live.pool)
            for command in live.fold.pending():
                if isinstance(command, c.RunJob):
                    name = (command.key, command.attempt)
                    if name not in message.has_rows and not self._dispatch.knows((live.id, *name)):
                        live.runnable[name] = command
                elif (
                    not isinstance(command, c.StartTimer)
                    or (command.key or "", command.attempt) not in message.has_rows
                ):
                    live.commands.append(command)
            self.advance(live)

        self._held.guarded(live, message, act)

    def _tell_stranded(self) -> None:
        """Say of jobs whose runners have gone away while they waited for what they wait now."""
        for row in self._dispatch.stranded():
            live = self._held.get(row.execution_id)
            why = self._dispatch.why_unmatched(row.demand)
            if live is None or why is None or row.purpose:
                continue
            at = live.time(self._now())
            act = partial(placing.tell, live, row, why, self.neighbours, at)
            self._held.guarded(live, None, act)

    def _mail(self, row: MailRow) -> None:
        live = self._held.get(row.execution_id)
        if row.id:
            self._held.working.mail_ended.append(row.id)
        if live is not None:
            self._held.guarded(live, row, lambda: self._read_mail(live, row))

    def _clock_set(self, message: ClockSet) -> None:
        """Tell it to all that is under way and in memory; what is not wakes up when it is due."""
        for live in [one for one in self._held.lives.values() if not one.fold.head.through]:
            at = live.time(self._now())
            self._held.working.touched[live.id] = live
            self._held.guarded(live, None, partial(live.log, at, Level.WARN, said(message.by)))

    def deliver_mail(self) -> None:
        """Let parents know, within this batch, what became of their children."""
        while self._held.working.mail:
            row = self._held.working.mail.popleft()
            live = self._held.get(row.execution_id)
            if live is not None:
                self._held.guarded(live, row, partial(self._read_mail, live, row))

    def finish(self) -> None:
        """What the batch needs once its messages are handled: news, ends, jobs for free slots."""
        self.deliver_mail()
        while self._held.broken or self._held.working.stillborn:
            ended = self._broken.end_all()
            # What the batch had decided with them no longer holds.
            self.slots.forget()
            for execution in ended:
                self.slots.wake(pool_of(execution))
            self.deliver_mail()
        self.neighbours.assign_waiting(self._now())

    def _read_mail(self, live: Live, row: MailRow) -> None:
        at = live.time(self._now())
        ended = e.SubflowEnded(
            at=at,
            key=RunKey(row.body["key"]),
            attempt=row.body["attempt"],
            execution_id=row.body["execution_id"],
            state=State(row.body["state"]),
            outputs=row.body.get("outputs"),
            index=row.body.get("index", 0),
            error=row.body.get("error"),
        )
        keep_outputs(self._stepper.around.storage, live, ended.key, ended.index, ended.outputs)
        live.feed(ended)
        self.advance(live)

    def advance(self, live: Live) -> None:
        """Go on with an execution as far as its share of the batch allows."""
        self._held.working.touched[live.id] = live
        self._stepper.run(live)
        self.slots.recount(live)
        if live.busy:
            self._held.again[live.id] = live

    def _replay_from_start(self, live: Live) -> None:
        start = self._starts.of_retry(live, self.new_id())
        child = self._create(start)
        self._held.guarded(child, None, lambda: self._admission.begin(child))


def _as_created(live: Live) -> Execution:
    """A new execution as whoever asked for it sees it: before it goes on."""
    return live.shown[0] if live.shown else live.base
