"""Executions as the JSON that clients see; core answers with it and the API shares it.

Pure functions. Fields without a value are left out, except inside what a flow's author named
(inputs, outputs, variables) and `outputs` of a task run, which is always there.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from penstock_runner.engine.state import (
    Attempt,
    Execution,
    History,
    State,
    TaskRun,
    TriggerOrigin,
)
from penstock_runner.executor.context import taskrun_id
from penstock_runner.executor.store import LogRow

Json = dict[str, Any]


def iso(at: datetime) -> str:
    """An instant as `2026-01-31T12:00:00.5Z`: UTC, without needless zeros."""
    return _utc_text(at if at.tzinfo is UTC else at.astimezone(UTC))


@lru_cache(maxsize=256)
def _utc_text(at: datetime) -> str:
    return at.isoformat()[:-6] + "Z"


def without_nulls(values: Mapping[str, Any]) -> Json:
    """The fields that have a value."""
    return {key: value for key, value in values.items() if value is not None}


def state_to_json(history: History, now: datetime | None = None) -> Json:
    """A state with its history; `endDate` only when it has ended or is paused.

    The duration runs from the first to the last entry, and with a single entry up to `now`.
    """
    current, last = history[-1]
    start = history[0][1]
    until = last if len(history) > 1 or now is None else max(now, start)
    answer: Json = {
        "current": current.value,
        "histories": [{"state": state.value, "date": iso(at)} for state, at in history],
        "duration": (until - start).total_seconds(),
        "startDate": iso(start),
    }
    if current.terminal or current is State.PAUSED:
        answer["endDate"] = iso(last)
    return answer


def taskrun_to_json(execution: Execution, run: TaskRun, now: datetime | None = None) -> Json:
    """One task run."""
    answer: Json = {
        "id": taskrun_id(execution.id, run.key),
        "executionId": execution.id,
        "namespace": execution.namespace,
        "flowId": execution.flow_id,
        "taskId": run.task_id,
        "outputs": run.outputs,
        "state": state_to_json(run.history, now),
    }
    if run.parent is not None:
        answer["parentTaskRunId"] = taskrun_id(execution.id, run.parent)
    if run.value is not None:
        answer["value"] = run.value
    if run.iteration is not None:
        answer["iteration"] = run.iteration
    if run.attempts:
        answer["attempts"] = [_attempt(attempt, now) for attempt in run.attempts]
    return answer


def execution_to_json(execution: Execution, now: datetime | None = None) -> Json:
    """One execution with its task runs in the order of their creation."""
    answer: Json = {
        "id": execution.id,
        "namespace": execution.namespace,
        "flowId": execution.flow_id,
        "flowRevision": execution.flow_revision,
        "labels": labels_to_json(execution.labels),
        "state": state_to_json(execution.history, now),
        "originalId": execution.original_id or execution.id,
        "deleted": False,
        "metadata": {
            "attemptNumber": execution.attempt_number,
            "originalCreatedDate": iso(execution.original_created or execution.history[0][1]),
        },
    }
    if execution.runs:
        runs = sorted(execution.runs.values(), key=lambda run: run.order)
        answer["taskRunList"] = [taskrun_to_json(execution, run, now) for run in runs]
    for name, values in (
        ("inputs", execution.inputs),
        ("outputs", execution.outputs),
        ("variables", execution.variables),
        ("parentId", execution.parent_id),
    ):
        if values is not None:
            answer[name] = values
    if execution.trigger is not None:
        answer["trigger"] = _trigger(execution.trigger)
    if execution.schedule_date is not None:
        answer["scheduleDate"] = iso(execution.schedule_date)
    return answer


def labels_to_json(labels: Mapping[str, Any]) -> list[Json]:
    """Labels as the list of pairs that clients see."""
    return [{"key": key, "value": value} for key, value in labels.items()]


def log_to_json(row: LogRow) -> Json:
    """One log line; attempts count from 0 in logs."""
    answer: Json = {
        "namespace": row.namespace,
        "flowId": row.flow_id,
        "timestamp": iso(row.at),
        "level": str(row.level),
        "message": row.message,
    }
    for name, value in (
        ("executionId", row.execution_id or None),
        ("taskId", row.task_id),
        ("taskRunId", row.taskrun_id),
        ("triggerId", row.trigger_id),
    ):
        if value is not None:
            answer[name] = value
    if row.attempt is not None:
        answer["attemptNumber"] = max(row.attempt - 1, 0)
    return answer


def _attempt(attempt: Attempt, now: datetime | None) -> Json:
    answer: Json = {"state": state_to_json(attempt.history, now)}
    if attempt.reason is not None:
        answer["reason"] = attempt.reason
    if attempt.log_file is not None:
        answer["logFile"] = attempt.log_file
    if attempt.notes is not None:
        answer.update(attempt.notes)
    return answer


def _trigger(trigger: TriggerOrigin) -> Json:
    return {"id": trigger.id, "type": trigger.type, "variables": dict(trigger.variables)}
