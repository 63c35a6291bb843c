"""The workers of a supervisor: forked warm, one job each, replaced when they are used up."""

from __future__ import annotations

import itertools
import os
import socket
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from penstock_runner.jobs import worker
from penstock_runner.jobs.frames import Channel
from penstock_runner.jobs.parts import Parts
from penstock_runner.jobs.settings import RunAs

if TYPE_CHECKING:
    from penstock_runner.jobs.live import LiveJob


class Seat:
    """One worker as its supervisor sees it; `number` is its slot, `run_as` the user of that."""

    def __init__(
        self,
        pid: int,
        channel: Channel,
        descriptors: socket.socket,
        *,
        number: int = 0,
        run_as: RunAs | None = None,
    ) -> None:
        self.pid = pid
        self.number = number
        self.run_as = run_as
        self.channel = channel
        self.descriptors = descriptors
        self.job: LiveJob | None = None
        self.jobs_done = 0
        self.idle_since: float | None = None
        self.listening = 0
        self.closed = False

    def close(self) -> None:
        """Close both sockets; an idle worker then ends."""
        self.channel.close()
        self.descriptors.close()


class Crew:
    """Forks workers and knows which are idle."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._seats: dict[int, Seat] = {}

    def __len__(self) -> int:
        return len(self._seats)

    def __iter__(self) -> Iterator[Seat]:
        return iter(list(self._seats.values()))

    @property
    def pids(self) -> set[int]:
        """The process ids of all workers."""
        return set(self._seats)

    def idle(self) -> Seat | None:
        """A worker without a job; the one that has done most, so that few stay in use."""
        free = [seat for seat in self._seats.values() if seat.job is None]
        return max(free, key=lambda seat: seat.jobs_done, default=None)

    def surplus(self, now: float, patience: float) -> list[Seat]:
        """Workers that have been idle for so long, without the one that is always kept."""
        free = [seat for seat in self._seats.values() if seat.job is None]
        stale = [s for s in free if s.idle_since is not None and now - s.idle_since >= patience]
        return stale[: len(free) - 1]

    def fork(self) -> Seat:
        """One more worker."""
        ours, theirs = socket.socketpair()
        our_descriptors, their_descriptors = socket.socketpair(
            socket.AF_UNIX, socket.SOCK_SEQPACKET
        )
        taken = {seat.number for seat in self._seats.values()}
        number = next(n for n in itertools.count() if n not in taken)
        users = self._parts.settings.slot_users
        run_as = users[number] if users else None
        pid = os.fork()
        if pid == 0:
            worker.start(Channel(theirs), their_descriptors, self._parts_as(run_as))
        theirs.close()
        their_descriptors.close()
        our_descriptors.setblocking(False)  # noqa: FBT003 - the standard library's own signature
        seat = Seat(pid, Channel(ours), our_descriptors, number=number, run_as=run_as)
        self._seats[pid] = seat
        return seat

    def _parts_as(self, run_as: RunAs | None) -> Parts:
        """What a worker works with when its jobs have a user of their own."""
        if run_as is None:
            return self._parts
        return replace(self._parts, settings=replace(self._parts.settings, run_as=run_as))

    def of_pid(self, pid: int) -> Seat | None:
        """The worker with this process id."""
        return self._seats.get(pid)

    def remove(self, seat: Seat) -> None:
        """Forget a worker and let it end."""
        self._seats.pop(seat.pid, None)
        seat.close()
