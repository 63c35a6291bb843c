"""The messages in the executor's queue: everything that can happen to executions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from penstock_runner.engine import events as e
from penstock_runner.engine.state import Execution
from penstock_runner.executor.live import Live
from penstock_runner.executor.messages import Done, Start
from penstock_runner.executor.store import JobRow, KvWrite, MailRow, TimerRow, Write
from penstock_runner.jobs.protocol import JobId, Report


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
    """Events for one execution. `make` builds them once the execution is known.

    `at` is when they came about, if that was before now.
    """

    execution_id: str
    make: Callable[[Live, datetime], Sequence[e.Event]]
    done: Done | None = None
    at: datetime | None = None


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
    planned: bool = False


@dataclass(slots=True, kw_only=True)
class Returned:
    """A runner that is about to end gives back a job that it has not begun."""

    job: JobId


@dataclass(slots=True, kw_only=True)
class Recover:
    """An execution that was under way when the service stopped."""

    execution_id: str
    has_rows: frozenset[tuple[str, int]] = frozenset()
    waiting: Sequence[JobRow] = ()


@dataclass(slots=True, kw_only=True)
class Remove:
    """An execution is to be deleted with all that belongs to it.

    `also` gives what the same transaction writes of it.
    """

    execution_id: str
    keep: frozenset[str] = frozenset()
    also: Callable[[Execution], Write] | None = None
    done: Done | None = None


@dataclass(slots=True, kw_only=True)
class ClockSet:
    """Somebody has set the clock."""

    by: timedelta


@dataclass(slots=True, kw_only=True)
class Stranded:
    """It is time to look at jobs whose runners have gone away while they waited."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """What is to be done to one of many executions.

    `make` refuses or gives the events; with `removes` the execution is deleted as by that message,
    with `starts` a new one is made from it.
    """

    execution_id: str
    make: Callable[[Live, datetime], Sequence[e.Event]]
    removes: Remove | None = None
    starts: Callable[[Execution], Start] | None = None


@dataclass(slots=True, kw_only=True)
class Many:
    """The same for many executions, in one transaction: all of it or nothing.

    `check` only asks whether it could be done; `leave_out` leaves out those that refuse.
    """

    deeds: Sequence[Deed]
    check: bool = False
    leave_out: bool = False
    done: Done | None = None


Message = (
    Transact
    | Tell
    | Lines
    | Reported
    | Lost
    | Returned
    | Recover
    | Remove
    | Many
    | ClockSet
    | Stranded
    | TimerRow
    | MailRow
)


def execution_of(message: Message) -> str | None:
    """The execution that a message is about, if it is about one."""
    match message:
        case Reported():
            return message.report.execution_id
        case Lines() | Lost() | Returned():
            return message.job[0]
        case Transact() | Many() | ClockSet() | Stranded():
            return None
        case _:
            return message.execution_id
