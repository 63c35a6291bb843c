"""The jobs that wait for a runner.

Jobs that ask for the same wait in one line, so that many which wait for a runner that is not there
hold up nobody else, and whoever hands out jobs looks at the head of each line only.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import NamedTuple

from penstock_runner.executor.store import JobRow
from penstock_runner.flow.offers import Demand, urgency
from penstock_runner.jobs.protocol import JobId

Line = tuple[Demand, int]


class Head(NamedTuple):
    """The first job of a line; the number tells how long it has waited among all."""

    line: Line
    number: int
    job: JobId
    row: JobRow


class WaitingJobs:
    """Lines by what their jobs ask for and how much hurry they are in."""

    def __init__(self) -> None:
        self._rows: dict[JobId, JobRow] = {}
        self._lines: dict[Line, dict[JobId, int]] = {}
        self._numbers = itertools.count()

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, job: JobId) -> bool:
        return job in self._rows

    def row(self, job: JobId) -> JobRow | None:
        """The job, while it waits."""
        return self._rows.get(job)

    def add(self, row: JobRow) -> None:
        """The job goes to the end of its line."""
        job = id_of(row)
        self.remove(job)
        self._rows[job] = row
        self._lines.setdefault(_line(row), {})[job] = next(self._numbers)

    def remove(self, job: JobId) -> None:
        """The job waits no longer."""
        row = self._rows.pop(job, None)
        if row is not None:
            line = self._lines[_line(row)]
            del line[job]
            if not line:
                del self._lines[_line(row)]

    def heads(self) -> list[Head]:
        """The first job of every line."""
        return [self._head(line) for line in self._lines]

    def of_lines(self, wanted: Callable[[Demand], bool]) -> list[JobRow]:
        """All jobs of the lines whose demand is wanted."""
        lines = [jobs for (demand, _), jobs in self._lines.items() if wanted(demand)]
        return [self._rows[job] for jobs in lines for job in jobs]

    def in_turn(self, now: datetime) -> Iterator[Head]:
        """Jobs in the order in which they are to be handed out, the head of a line at a time.

        Whoever is not removed before the next is asked for ends the turn of its line.
        """
        turns = [self._turn(line, now) for line in self._lines]
        heapq.heapify(turns)
        while turns:
            _, _, head = heapq.heappop(turns)
            yield head
            if head.job not in self._rows and head.line in self._lines:
                heapq.heappush(turns, self._turn(head.line, now))

    def _turn(self, line: Line, now: datetime) -> tuple[int, int, Head]:
        head = self._head(line)
        return -urgency(line[1], now - head.row.created), head.number, head

    def _head(self, line: Line) -> Head:
        job, number = next(iter(self._lines[line].items()))
        return Head(line=line, number=number, job=job, row=self._rows[job])


def id_of(row: JobRow) -> JobId:
    """The name of a job everywhere."""
    return (row.execution_id, row.key, row.attempt)


def _line(row: JobRow) -> Line:
    return row.demand, row.priority
