"""Reports that nobody waits for: they change nothing, and the log of the execution says why.

Such reports are normal life. A runner reports again when a crash came between a write and its
answer; one that was given up for lost may still be at work.
"""

from __future__ import annotations

from datetime import datetime

from penstock_runner.engine.attempts import LOST, STOPPED
from penstock_runner.engine.state import State, TaskRun
from penstock_runner.executor.live import Live
from penstock_runner.flow.model import Level
from penstock_runner.jobs.protocol import Report


def leave_aside(live: Live, report: Report, run: TaskRun | None, at: datetime) -> None:
    """Say what such a report was, once as long as the execution is in memory."""
    level, what = _what(report, run)
    said = (report.key, report.attempt, what)
    if level is None or said in live.left_aside:
        return
    live.left_aside.add(said)
    key = None if run is None else run.key
    live.log(at, level, f"{what}; it was left aside", key=key, attempt=report.attempt)


def _what(report: Report, run: TaskRun | None) -> tuple[Level | None, str]:
    number = report.attempt
    if run is None:
        which = f"A report for '{report.key}' came, which is no task run of this execution"
        return Level.WARN, which
    attempt = next((one for one in run.attempts if one.number == number), None)
    if attempt is not None and attempt.reason in (LOST, STOPPED):
        lost = "given up for lost" if attempt.reason == LOST else "stopped"
        return Level.WARN, f"Attempt {number} reported after its runner was {lost}"
    if attempt is not None and attempt.state == report.state:
        return Level.DEBUG, f"Attempt {number} reported a second time"
    if run.attempt == number and report.state == State.KILLED:
        # What was cancelled says that it has ended.
        return None, ""
    gone_on = f"attempt {run.attempt} has begun" if run.attempt > number else "its task run ended"
    return Level.WARN, f"Attempt {number} reported after {gone_on}"
