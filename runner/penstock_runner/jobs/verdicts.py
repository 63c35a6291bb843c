"""What the supervisor reports of a job whose worker cannot: pure, from what is known of the job."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from penstock_runner.engine.state import State
from penstock_runner.jobs.execute import clock
from penstock_runner.jobs.live import LiveJob
from penstock_runner.jobs.protocol import JobId, Report
from penstock_runner.taskrunners.api import signal_name


def of_lost_worker(job: LiveJob, number: int | None, at: datetime) -> list[dict[str, Any]]:
    """The messages about a job whose worker has ended, by a signal or by itself."""
    match job.cancelled:
        case "killed":
            return messages(job.id, State.KILLED, "killed", at, last_line=job.last_line)
        case "timeout":
            error = f"Timeout after {clock(job.timeout or 0)}"
            return _failed(job, "timeout", error, at)
        case None:
            how = "ended" if number is None else f"was ended by {signal_name(number)}"
            return _failed(job, "runner-lost", f"The worker that ran this task {how}", at)


def _failed(job: LiveJob, reason: str, error: str, at: datetime) -> list[dict[str, Any]]:
    return messages(job.id, State.FAILED, reason, at, error=error, last_line=job.last_line)


def messages(
    job_id: JobId,
    state: State,
    reason: str,
    at: datetime,
    *,
    error: str | None = None,
    last_line: int = 0,
) -> list[dict[str, Any]]:
    """A report, after a log line with its error."""
    execution_id, key, attempt = job_id
    found: list[dict[str, Any]] = []
    if error is not None:
        last_line += 1
        name = {"execution_id": execution_id, "key": key, "attempt": attempt}
        line = [last_line, at, "ERROR", error, ""]
        found.append({"type": "logs", **name, "lines": [line]})
    report = Report(
        execution_id=execution_id,
        key=key,
        attempt=attempt,
        state=state.value,
        at=at,
        error=error,
        reason=reason,
        last_line=last_line,
    )
    return [*found, report.to_wire()]
