"""Which runner takes a job.

Free slots are known here, so a job is assigned in the write that makes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from penstock_runner.executor.store import JobRow
from penstock_runner.jobs.protocol import JobId

# Jobs that ask for labels nobody has must not cost a look at all of them each time.
LOOKED_AT = 200


@dataclass(slots=True, kw_only=True)
class RunnerSeat:
    """A connected runner: what it offers, and which jobs it has."""

    name: str
    slots: int
    labels: frozenset[str]
    send: Callable[[dict[str, Any]], None]
    busy: set[JobId] = field(default_factory=set)
    leaving: bool = False

    def takes(self, required: Iterable[str]) -> bool:
        """Whether it stays, and has a free slot and every label asked for."""
        if self.leaving:
            return False
        return len(self.busy) < self.slots and all(label in self.labels for label in required)


class Dispatch:
    """The seats of the connected runners, and the jobs that wait for one."""

    def __init__(self) -> None:
        self._seats: dict[str, RunnerSeat] = {}
        self._waiting: dict[JobId, JobRow] = {}
        self._where: dict[JobId, str] = {}

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
        self._waiting[_id(row)] = row

    def next_assignable(self) -> tuple[JobRow, RunnerSeat] | None:
        """The oldest waiting job that a free slot fits, taken out of the queue."""
        for row in islice(self._waiting.values(), LOOKED_AT):
            seat = self.choose(row.required)
            if seat is not None:
                del self._waiting[_id(row)]
                return row, seat
        return None

    def free(self, job: JobId) -> None:
        """The job has ended, wherever it was."""
        name = self._where.pop(job, None)
        if name is not None and name in self._seats:
            self._seats[name].busy.discard(job)
        elif name is None:
            self._waiting.pop(job, None)

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
