"""The jobs that a supervisor has given to its workers, and their processes."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penstock_runner.jobs.cancellation import Reason
from penstock_runner.jobs.control_groups import Group
from penstock_runner.jobs.protocol import JobId
from penstock_runner.jobs.settings import Stop

if TYPE_CHECKING:
    from penstock_runner.jobs.crew import Seat


@dataclass(slots=True, kw_only=True, eq=False)
class LiveProcess:
    """The main process of one command; its session has its process id as number."""

    pid: int
    number: int
    job: LiveJob
    group: Group | None = None


@dataclass(slots=True, kw_only=True, eq=False)
class LiveJob:
    """One job at work. Instants are of the monotonic clock.

    `resumable`: its container is for a later attempt to take up; `deadline`: cancel it then;
    `kill_at`: kill its processes then; `give_up_at`: kill its worker then; `tell_at`: tell core
    then that it has begun, which is in `news` until it is told.
    """

    id: JobId
    seat: Seat
    folder: Path
    stop: Stop
    renders_only: bool = False
    resumable: bool = False
    processes: dict[int, LiveProcess] = field(default_factory=dict)
    last_line: int = 0
    cancelled: Reason | None = None
    deadline: float | None = None
    timeout: float | None = None
    kill_at: float | None = None
    give_up_at: float | None = None
    tell_at: float | None = None
    news: dict[str, Any] | None = None

    @property
    def next_due(self) -> float | None:
        """The next instant at which something has to be done about this job."""
        moments = (self.deadline, self.kill_at, self.give_up_at, self.tell_at)
        dues = [at for at in moments if at is not None]
        return min(dues, default=None)

    @property
    def name(self) -> dict[str, Any]:
        """The fields that name the job in messages."""
        execution_id, key, attempt = self.id
        return {"execution_id": execution_id, "key": key, "attempt": attempt}
