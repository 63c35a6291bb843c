"""Which runner takes a job.

Free slots are known here, so a job is assigned in the write that makes it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from penstock_runner.executor.store import JobRow
from penstock_runner.jobs.protocol import JobId


@dataclass(slots=True, kw_only=True)
class RunnerSeat:
    """A connected runner: what it offers, and which jobs it has."""

    name: str
    slots: int
    labels: frozenset[str]
    send: Callable[[dict[str, Any]], None]
    busy: set[JobId] = field(default_factory=set)

    def takes(self, required: Iterable[str]) -> bool:
        """Whether it has a free slot and every label asked for."""
        return len(self.busy) < self.slots and all(label in self.labels for label in required)


class Dispatch:
    """The seats of the connected runners, and the jobs that wait for one."""

    def __init__(self) -> None:
        self._seats: dict[str, RunnerSeat] = {}
        self._waiting: deque[JobRow] = deque()
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
        self._waiting.append(row)

    def next_assignable(self) -> tuple[JobRow, RunnerSeat] | None:
        """The oldest waiting job that a free slot fits, taken out of the queue."""
        for index, row in enumerate(self._waiting):
            seat = self.choose(row.required)
            if seat is not None:
                del self._waiting[index]
                return row, seat
            if index > 200:
                break
        return None

    def free(self, job: JobId) -> None:
        """The job has ended, wherever it was."""
        name = self._where.pop(job, None)
        if name is not None and name in self._seats:
            self._seats[name].busy.discard(job)
        elif name is None:
            self._waiting = deque(row for row in self._waiting if _id(row) != job)

    def seat_of(self, job: JobId) -> RunnerSeat | None:
        """Where a job runs, None while it waits."""
        name = self._where.get(job)
        return self._seats.get(name) if name else None

    def knows(self, job: JobId) -> bool:
        """Whether the job has been handed out or waits for that."""
        return job in self._where or self.is_waiting(job)

    def is_waiting(self, job: JobId) -> bool:
        """Whether the job waits for a slot."""
        return any(_id(row) == job for row in self._waiting)


def _id(row: JobRow) -> JobId:
    return (row.execution_id, row.key, row.attempt)
