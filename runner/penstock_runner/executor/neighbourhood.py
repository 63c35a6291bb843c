"""What a step of one execution asks of the others: children, jobs, and the news of its end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from penstock_runner.engine import commands as c
from penstock_runner.engine import events as e
from penstock_runner.engine.state import Execution, RunKey, State
from penstock_runner.executor.dispatch import Dispatch, RunnerSeat
from penstock_runner.executor.held import Held
from penstock_runner.executor.inbox import Message, Tell
from penstock_runner.executor.jobs import evaluation_job, task_job
from penstock_runner.executor.live import PARENT_RUN, Live
from penstock_runner.executor.messages import Refused, Start
from penstock_runner.executor.starts import Starts, refusal
from penstock_runner.executor.store import JobRow, MailRow, TimerRow, Write
from penstock_runner.executor.waiting import id_of
from penstock_runner.flow.offers import Demand
from penstock_runner.jobs.protocol import JobId

NOT_WAITED = timedelta()


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbourhood:
    """Implements `step.Neighbours` over the executions in memory and the connected runners."""

    held: Held
    dispatch: Dispatch
    starts: Starts
    queue: Callable[[Message], None]
    begin: Callable[[Live], None]
    create: Callable[[Start], Live]
    new_id: Callable[[], str]
    on_end: Callable[[Execution], Sequence[Write]]

    def start_child(self, parent: Live, command: c.StartSubflow, at: datetime) -> None:
        """Create the child execution of a task run, in the same transaction."""
        try:
            start = self.starts.of_subflow(parent, command, self.new_id())
            child = self.create(start)
        except Refused as refused:
            failed = e.JobEnded(
                at=at,
                key=command.key,
                attempt=command.attempt,
                state=State.FAILED,
                error=refusal(command, refused),
            )
            parent.feed(failed)
            return
        self.starts.log_creation(parent, command, child.base, at)
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
        self.held.guarded(child, None, lambda: self.begin(child))

    def kill_children(self, live: Live, command: c.KillSubflow, at: datetime) -> None:  # noqa: ARG002 - each has a time of its own
        """Kill a child execution with the next batch, all of the task run's when none is named."""
        ids = [command.execution_id] if command.execution_id else live.children.get(command.key, ())
        for execution_id in ids:
            self.queue(Tell(execution_id=execution_id, make=_kill_unless_ended))

    def retry_execution(self, live: Live, at: datetime) -> None:
        """A new execution of the same flow takes over at `at`."""
        live.part.timers.append(
            TimerRow(execution_id=live.id, key="", attempt=0, purpose="new-execution", at=at)
        )

    def new_job(self, live: Live, row: JobRow) -> None:
        """A job is made, assigned at once when a runner has a free slot and nobody waits for one.

        Whoever waits has the first claim on what this batch has freed.
        """
        seat = None if self.dispatch.waiting else self.dispatch.choose(row.demand, NOT_WAITED)
        if seat is None:
            live.part.jobs.append(row)
            self.dispatch.wait(row)
            return
        row = replace(row, runner=seat.name)
        live.part.jobs.append(row)
        self.hand_out(live, row, seat, live.part.after)

    def why_unmatched(self, demand: Demand) -> str | None:
        """Why no runner may take such a job; None when one may."""
        return self.dispatch.why_unmatched(demand)

    def told(self, row: JobRow) -> None:
        """It was said of a job that no runner may take it."""
        self.dispatch.told(id_of(row))

    @property
    def complete(self) -> bool:
        """Whether no other runner will ever come."""
        return self.dispatch.complete

    def cancel_job(self, live: Live, key: RunKey, attempt: int, at: datetime) -> bool:  # noqa: ARG002
        """Stop a job; False when no runner has it, so that it ends here and now."""
        job: JobId = (live.id, key, attempt)
        seat = self.dispatch.seat_of(job)
        if seat is not None:
            force = self.dispatch.asked_to_stop(job)
            live.part.after.append(lambda: send_cancel(seat, job, force=force))
            return True
        self.dispatch.free(job)
        live.part.jobs_ended.append(job)
        return False

    def ended(self, live: Live, outputs: Mapping[str, Any] | None, error: str | None) -> None:
        """The execution has ended: its parent, its trigger and those who wait are told.

        `outputs` are what it gives to its parent, `error` says why it cannot.
        """
        execution = live.execution()
        parent = live.base.facts.get(PARENT_RUN)
        self.held.working.mail.extend(news_for_parent(parent, execution, outputs, error))
        live.part.writes.extend(self.on_end(execution))
        waiters, live.waiters = live.waiters, []
        for waiter in waiters:
            live.part.after.append(partial(waiter, execution))

    def hand_out(
        self, live: Live, row: JobRow, seat: RunnerSeat, after: list[Callable[[], None]]
    ) -> None:
        job_id: JobId = (row.execution_id, row.key, row.attempt)
        self.dispatch.take(seat, job_id)
        asked = live.evaluating.get(job_id)
        job = evaluation_job(live, row, asked) if asked is not None else task_job(live, row)
        after.append(lambda: seat.send(job.to_wire()))

    def assign_waiting(self, now: datetime) -> None:
        """Hand out the jobs that wait, as far as there are free slots."""
        for waited, seat in self.dispatch.assignable(now):
            live = self.held.get(waited.execution_id)
            if live is None or (not waited.purpose and RunKey(waited.key) not in live.fold.runs):
                self.held.working.jobs_ended.append(id_of(waited))
                continue
            row = replace(waited, runner=seat.name)
            self.held.working.touched[live.id] = live
            if waited in live.part.jobs:  # it is new: its row is written with its runner
                live.part.jobs[live.part.jobs.index(waited)] = row
            else:
                self.held.working.jobs_assigned.append(row)
            self.hand_out(live, row, seat, self.held.working.after)


def news_for_parent(
    parent: object, execution: Execution, outputs: Mapping[str, Any] | None, error: str | None
) -> list[MailRow]:
    """What the end of an execution tells the task run that has started it, if one has."""
    if not isinstance(parent, list | tuple):
        return []
    body = {
        "key": parent[1],
        "attempt": parent[2],
        "index": parent[3],
        "execution_id": execution.id,
        "state": execution.state.value,
        "outputs": outputs,
        "error": error,
    }
    return [MailRow(execution_id=str(parent[0]), body=body)]


def send_cancel(seat: RunnerSeat, job: JobId, *, force: bool = False) -> None:
    """Ask the runner of a job to stop it, with `force` at once."""
    name = {"execution_id": job[0], "key": job[1], "attempt": job[2]}
    seat.send({"type": "cancel", **name, "force": force})


def _kill_unless_ended(live: Live, at: datetime) -> Sequence[e.Event]:
    return () if live.state.terminal else (e.KillRequested(at=at),)
