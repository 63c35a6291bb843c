"""Which runner takes a job.

Free slots are known here, so a job is assigned in the write that makes it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from penstock_runner.executor.store import JobRow
from penstock_runner.flow import routing
from penstock_runner.jobs.protocol import JobId


@dataclass(slots=True, kw_only=True)
class RunnerSeat:
    """A connected runner: what it offers, and which jobs it has."""

    name: str
    slots: int
    labels: frozenset[str]
    send: Callable[[dict[str, Any]], None]
    busy: set[JobId] = field(default_factory=set)
    leaving: bool = False

    def takes(self, required: Sequence[str]) -> bool:
        """Whether it stays, has a free slot, and may take what asks for these labels."""
        return not self.leaving and len(self.busy) < self.slots and self.matches(required)

    def matches(self, required: Sequence[str]) -> bool:
        """Whether it may take what asks for these labels, once it has a free slot."""
        return not routing.lacking(required, self.labels)


class Dispatch:
    """The seats of the connected runners, and the jobs that wait for one."""

    def __init__(self) -> None:
        self._seats: dict[str, RunnerSeat] = {}
        self._waiting: dict[JobId, JobRow] = {}
        self._lines: dict[tuple[str, ...], dict[JobId, int]] = {}
        self._numbers = itertools.count()
        self._where: dict[JobId, str] = {}
        self._stopping: set[JobId] = set()

    @property
    def seats(self) -> list[RunnerSeat]:
        """The connected runners."""
        return list(self._seats.values())

    @property
    def waiting(self) -> int:
        """How many jobs wait for a slot."""
        return len(self._waiting)

    def join(self, seat: RunnerSeat) -> None:
        """A runner has said hello."""
        self._seats[seat.name] = seat

    def leave(self, name: str) -> list[JobId]:
        """A runner is gone; gives the jobs that it had."""
        seat = self._seats.pop(name, None)
        lost = sorted(seat.busy) if seat else []
        for job in lost:
            self._where.pop(job, None)
            self._stopping.discard(job)
        return lost

    def retire(self, name: str) -> None:
        """A runner gets no more jobs; it will be gone soon."""
        if name in self._seats:
            self._seats[name].leaving = True

    def is_leaving(self, name: str) -> bool:
        """Whether a runner has said that it will be gone soon."""
        return name in self._seats and self._seats[name].leaving

    def choose(self, required: tuple[str, ...]) -> RunnerSeat | None:
        """The least busy runner that may take such a job now."""
        fitting = [seat for seat in self._seats.values() if seat.takes(required)]
        return min(fitting, key=lambda seat: len(seat.busy) / seat.slots, default=None)

    def take(self, seat: RunnerSeat, job: JobId) -> None:
        """The seat has this job from now on."""
        seat.busy.add(job)
        self._where[job] = seat.name

    def wait(self, row: JobRow) -> None:
        """The job waits until a slot is free."""
        job = _id(row)
        self._forget(job)
        self._waiting[job] = row
        self._lines.setdefault(row.required, {})[job] = next(self._numbers)

    def next_assignable(self) -> tuple[JobRow, RunnerSeat] | None:
        """The oldest waiting job that a free slot fits, taken out of the queue.

        Jobs that ask for the same labels wait in one line, so that many which wait for a runner
        that is not there hold up nobody else.
        """
        best: tuple[int, JobId, RunnerSeat] | None = None
        for required, line in self._lines.items():
            job, number = next(iter(line.items()))
            if best is not None and best[0] < number:
                continue
            seat = self.choose(required)
            if seat is not None:
                best = (number, job, seat)
        if best is None:
            return None
        row = self._waiting[best[1]]
        self._forget(best[1])
        return row, best[2]

    def why_unmatched(self, required: tuple[str, ...]) -> str | None:
        """Why no connected runner may take such a job; None when one may."""
        seats = {seat.name: seat.labels for seat in self._seats.values() if not seat.leaving}
        return routing.why_unmatched(required, seats)

    def waiting_row(self, job: JobId) -> JobRow | None:
        """The job, while it waits for a runner."""
        return self._waiting.get(job)

    def _forget(self, job: JobId) -> None:
        row = self._waiting.pop(job, None)
        if row is not None:
            line = self._lines[row.required]
            del line[job]
            if not line:
                del self._lines[row.required]

    def free(self, job: JobId) -> None:
        """The job has ended, wherever it was."""
        name = self._where.pop(job, None)
        self._stopping.discard(job)
        if name is not None and name in self._seats:
            self._seats[name].busy.discard(job)
        elif name is None:
            self._forget(job)

    def asked_to_stop(self, job: JobId) -> bool:
        """Note that a job is asked to stop; whether it was asked before."""
        before = job in self._stopping
        self._stopping.add(job)
        return before

    def seat_of(self, job: JobId) -> RunnerSeat | None:
        """Where a job runs, None while it waits."""
        name = self._where.get(job)
        return self._seats.get(name) if name else None

    def knows(self, job: JobId) -> bool:
        """Whether the job has been handed out or waits for that."""
        return job in self._where or self.is_waiting(job)

    def is_waiting(self, job: JobId) -> bool:
        """Whether the job waits for a slot."""
        return job in self._waiting


def _id(row: JobRow) -> JobId:
    return (row.execution_id, row.key, row.attempt)
