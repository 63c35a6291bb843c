"""What runners send, as log rows and engine events."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from penstock_runner.engine import events as e
from penstock_runner.engine.state import RunKey, State, TaskRun
from penstock_runner.executor.context import taskrun_id
from penstock_runner.executor.late import leave_aside
from penstock_runner.executor.live import Live
from penstock_runner.executor.sizes import TOO_LARGE, too_large
from penstock_runner.executor.store import LogRow, MetricRow
from penstock_runner.flow.model import Level
from penstock_runner.jobs.protocol import JobId, Report

RUNNER_LOST = "runner-lost"


class ReportReader:
    """Turns messages about jobs into rows and events; what came before is not taken twice."""

    def keep_lines(
        self,
        live: Live,
        job: JobId,
        lines: Sequence[Sequence[Any]],
        child_id: str | None = None,
    ) -> None:
        """Add the log lines of a job that are not stored yet.

        `child_id` names the task of a WorkingDirectory that said them.
        """
        _, key, attempt = job
        run_key = RunKey(key.split("?", 1)[0])
        run = live.fold.runs.get(run_key)
        task_id = child_id or (run.task_id if run else None)
        if run and child_id:
            run_key = RunKey(child_id + run_key.removeprefix(run.task_id))
        seen = live.line_seen.get((key, attempt), 0)
        if live.lines is None:
            raise RuntimeError("the number of the last line was not read")
        new = [line for line in lines if line[0] > seen]
        if not new:
            return
        base = live.base
        origin = (
            base.namespace,
            base.flow_id,
            task_id,
            taskrun_id(live.id, run_key) if run else None,
            attempt if run else None,
            None,
        )
        # A flood comes this way: by position, which takes half the time of names.
        live.part.logs += [
            LogRow(live.id, n, instant(at), level, message, *origin, stream)
            for n, (_, at, level, message, stream) in enumerate(new, live.lines + 1)
        ]
        live.lines += len(new)
        live.line_seen[(key, attempt)] = new[-1][0]

    def events(self, live: Live, report: Report, at: datetime) -> Iterable[e.Event]:
        """The engine events of a report: what the task did to its execution, then its end."""
        key = RunKey(report.key)
        run = live.fold.runs.get(key)
        if run is None or not live.fold.awaits(key, report.attempt):
            leave_aside(live, report, run, at)
            return
        live.mask(list(report.masks))
        _keep_metrics(live, report, run)
        if report.children:
            yield _children(report, key, at)
        exit_state: State | None = None
        for effect in report.effects:
            if "labels" in effect:
                yield e.LabelsSet(at=at, labels=effect["labels"])
            if "variables" in effect:
                yield e.VariablesSet(at=at, variables=effect["variables"])
            if "exit" in effect:
                exit_state = State(effect["exit"])
        if report.reason == RUNNER_LOST:
            yield e.JobLost(at=at, key=key, attempt=report.attempt)
            return
        if exit_state is not None:
            yield e.ExitRequested(at=at, key=key, state=exit_state)
        state, outputs, error = State(report.state), report.outputs, report.error
        if too_large(outputs):
            state, outputs, error = State.FAILED, None, TOO_LARGE
            live.log(at, Level.ERROR, TOO_LARGE, key=key, attempt=report.attempt)
        yield e.JobEnded(
            at=at,
            key=key,
            attempt=report.attempt,
            state=state,
            outputs=outputs,
            error=error,
            reason=report.reason,
            exit_code=report.exit_code,
            log_file=report.log_file,
            notes=report.notes,
        )


def _keep_metrics(live: Live, report: Report, run: TaskRun) -> None:
    live.part.metrics.extend(
        MetricRow(
            execution_id=live.id,
            taskrun_id=taskrun_id(live.id, run.key),
            task_id=run.task_id,
            namespace=live.base.namespace,
            flow_id=live.base.flow_id,
            at=report.at,
            name=metric.name,
            kind=metric.kind,
            value=metric.value,
            tags={name: live.masker.mask(tag) for name, tag in metric.tags.items()},
        )
        for metric in report.metrics
    )


def _children(report: Report, key: RunKey, at: datetime) -> e.ChildrenReported:
    ends = tuple(
        e.ChildEnd(
            task_id=child["task_id"],
            history=tuple((State(state), instant(when)) for state, when in child["history"]),
            attempt_state=State(child["attempt_state"]),
            outputs=child.get("outputs"),
            reason=child.get("reason"),
        )
        for child in report.children
    )
    return e.ChildrenReported(at=at, key=key, attempt=report.attempt, children=ends)


@lru_cache(maxsize=64)
def instant(value: str | datetime) -> datetime:
    """An instant of a message, which is text when it came over a socket."""
    return datetime.fromisoformat(value) if isinstance(value, str) else value
