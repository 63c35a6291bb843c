"""Which runner takes a job.

Free slots are known here, so a job is assigned in the write that makes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from penstock_runner.executor.store import JobRow
from penstock_runner.executor.waiting import WaitingJobs, id_of
from penstock_runner.flow import offers
from penstock_runner.flow.offers import FIRST_CHOICE, Demand, Offer
from penstock_runner.jobs.protocol import JobId

# What a demand comes to is remembered for so many of them.
REMEMBERED = 10_000


@dataclass(slots=True, kw_only=True)
class RunnerSeat:
    """A connected runner: what it offers, and which jobs it has."""

    name: str
    slots: int
    send: Callable[[dict[str, Any]], None]
    labels: frozenset[str] = frozenset()
    namespaces: tuple[str, ...] = ()
    protected: bool = False
    busy: set[JobId] = field(default_factory=set)
    leaving: bool = False

    @property
    def offer(self) -> Offer:
        """What it takes."""
        return Offer(labels=self.labels, namespaces=self.namespaces, protected=self.protected)

    @property
    def free(self) -> bool:
        """Whether it has a free slot."""
        return len(self.busy) < self.slots


class Dispatch:
    """The seats of the connected runners, and the jobs that wait for one."""

    def __init__(self) -> None:
        # Whether no other runner will ever come, so that it is in vain to wait for one.
        self.complete = False
        self._seats: dict[str, RunnerSeat] = {}
        self._tiers: dict[Demand, list[list[RunnerSeat]]] = {}
        self._waiting = WaitingJobs()
        self._where: dict[JobId, str] = {}
        self._stopping: set[JobId] = set()
        self._told: set[JobId] = set()
        self._suspects: set[JobId] = set()

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
        self._tiers.clear()

    def leave(self, name: str) -> list[JobId]:
        """A runner is gone; gives the jobs that it had."""
        self._tiers.clear()
        seat = self._seats.pop(name, None)
        lost = sorted(seat.busy) if seat else []
        for job in lost:
            self._where.pop(job, None)
            self._stopping.discard(job)
        return lost

    def retire(self, name: str) -> None:
        """A runner gets no more jobs; it will be gone soon."""
        self._tiers.clear()
        if name in self._seats:
            self._seats[name].leaving = True

    def is_leaving(self, name: str) -> bool:
        """Whether a runner has said that it will be gone soon."""
        return name in self._seats and self._seats[name].leaving

    def choose(self, demand: Demand, waited: timedelta = FIRST_CHOICE) -> RunnerSeat | None:
        """A runner with a free slot for a job that has waited so long, the least busy that suits.

        Those that suit it best have the first choice; after a while any will do.
        """
        for tier in self._tiers_of(demand):
            free = [seat for seat in tier if seat.free]
            if free:
                return min(free, key=lambda seat: len(seat.busy) / seat.slots)
            if waited < FIRST_CHOICE:
                return None
        return None

    def _tiers_of(self, demand: Demand) -> list[list[RunnerSeat]]:
        """The runners that may take such a job, those that suit it best first."""
        found = self._tiers.get(demand)
        if found is None:
            if len(self._tiers) >= REMEMBERED:
                self._tiers.clear()

            def rank(seat: RunnerSeat) -> tuple[int, int]:
                return offers.suits(demand.required, seat.labels)

            fit = [s for s in self._staying() if not offers.refusals(demand, s.offer)]
            found = [list(tier) for _, tier in groupby(sorted(fit, key=rank), key=rank)]
            self._tiers[demand] = found
        return found

    def _staying(self) -> list[RunnerSeat]:
        return [seat for seat in self._seats.values() if not seat.leaving]

    def take(self, seat: RunnerSeat, job: JobId) -> None:
        """The seat has this job from now on."""
        seat.busy.add(job)
        self._where[job] = seat.name
        self._told.discard(job)

    def wait(self, row: JobRow) -> None:
        """The job waits until a slot is free."""
        self._waiting.add(row)

    def assignable(self, now: datetime) -> Iterator[tuple[JobRow, RunnerSeat]]:
        """Waiting jobs with the free slots that they fit, out of the queue, in one pass.

        The seat of each has to be taken before the next is asked for.
        """
        if not any(seat.free for seat in self._seats.values()):
            return
        for head in self._waiting.in_turn(now):
            seat = self.choose(head.row.demand, now - head.row.created)
            if seat is not None:
                self._waiting.remove(head.job)
                yield head.row, seat

    def next_offer(self) -> datetime | None:
        """When a job that waits for the runners that suit it best may go to another one."""
        if len(self._seats) < 2:
            return None
        moments = [
            head.row.created + FIRST_CHOICE
            for head in self._waiting.heads()
            if self.choose(head.row.demand) is not None
        ]
        return min(moments, default=None)

    def why_unmatched(self, demand: Demand) -> str | None:
        """Why no connected runner may take such a job; None when one may.

        Who asks for nothing waits for the first runner that comes, which needs no reason.
        """
        if self._tiers_of(demand):
            return None
        staying = self._staying()
        if not (staying or demand.required):
            return None
        return offers.why_unmatched(demand, {seat.name: seat.offer for seat in staying})

    def told(self, job: JobId) -> None:
        """It was said of a waiting job that no runner may take it."""
        self._told.add(job)

    def stranded(self) -> list[JobRow]:
        """Jobs that no runner may take any more, of which nobody was told.

        Only what was so the last time already: a runner that is started again comes back.
        """
        found = self._waiting.of_lines(lambda demand: self.why_unmatched(demand) is not None)
        before, self._suspects = self._suspects, {id_of(row) for row in found}
        return [row for row in found if id_of(row) in before - self._told]

    def waiting_row(self, job: JobId) -> JobRow | None:
        """The job, while it waits for a runner."""
        return self._waiting.row(job)

    def free(self, job: JobId) -> None:
        """The job has ended, wherever it was."""
        name = self._where.pop(job, None)
        self._stopping.discard(job)
        self._told.discard(job)
        if name is not None and name in self._seats:
            self._seats[name].busy.discard(job)
        elif name is None:
            self._waiting.remove(job)

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
        return job in self._where or job in self._waiting
