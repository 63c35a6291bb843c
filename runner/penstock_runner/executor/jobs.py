"""Jobs as a runner gets them.

The task is plain data, beside the variables that its templates may read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from penstock_runner.engine import commands as c
from penstock_runner.engine.state import RunKey
from penstock_runner.executor.children import batch_variables
from penstock_runner.executor.context import TaskStates, taskrun_id
from penstock_runner.executor.flows import git_facts, git_place, git_variables
from penstock_runner.executor.live import Live
from penstock_runner.executor.store import JobRow
from penstock_runner.flow.model import Task
from penstock_runner.jobs.protocol import Job

# Functions whose argument is a template of its own, or that show every variable.
_READS_ANYTHING = frozenset(
    {"render", "renderOnce", "printContext", "fetchContext", "tasksWithState"}
)


def job_row(live: Live, command: c.RunJob, at: datetime, required: tuple[str, ...] = ()) -> JobRow:
    """The row of a job that no runner has."""
    return JobRow(
        execution_id=live.id,
        key=command.key,
        attempt=command.attempt,
        task_id=command.task_id,
        created=at,
        required=required,
        namespace=live.base.namespace,
        protected=live.loaded.protected,
        priority=live.loaded.flow.priority,
    )


def of_flow(live: Live, row: JobRow) -> JobRow:
    """The row with what its flow says of where it may go, and when."""
    return replace(
        row,
        namespace=live.base.namespace,
        protected=live.loaded.protected,
        priority=live.loaded.flow.priority,
    )


def task_job(live: Live, row: JobRow) -> Job:
    """The job of one attempt of a task run."""
    node = live.fold.plan.node_of(RunKey(row.key))
    task = node.task
    variables = live.variables(RunKey(row.key))
    plain = plain_task(task)
    place = row.key.removeprefix(node.id)
    around = node.id.removesuffix(task.id)
    for child in plain.get("branches", {}).get("tasks", ()):
        child["taskrunId"] = taskrun_id(live.id, RunKey(f"{around}{child['id']}{place}"))
    return _job(live, row, plain, variables)


def evaluation_job(live: Live, row: JobRow, asked: c.Evaluate) -> Job:
    """A job that only renders what a gate asked for."""
    child = live.asked_children.get((RunKey(str(asked.key)), asked.purpose))
    variables = live.variables(asked.key) if child is None else batch_variables(live, child)
    evaluate = {
        "purpose": asked.purpose,
        "expressions": dict(asked.expressions),
        "typed": sorted(asked.typed),
    }
    task = {"id": row.task_id, "type": "", "kind": "", "properties": {}}
    return _job(live, row, task, variables, evaluate)


def _job(
    live: Live,
    row: JobRow,
    task: dict[str, Any],
    variables: dict[str, Any],
    evaluate: Mapping[str, Any] | None = None,
) -> Job:
    states = variables.get("tasks")
    if isinstance(states, TaskStates):
        variables["tasks"] = states.plain() if _reads_states(task, evaluate) else {}
    key = row.key.split("?", 1)[0]
    git = git_facts(live.loaded.stored.git, live.base.trigger)
    return Job(
        execution_id=live.id,
        key=row.key,
        attempt=row.attempt,
        taskrun_id=taskrun_id(live.id, RunKey(key)),
        namespace=live.base.namespace,
        flow_id=live.base.flow_id,
        flow_revision=live.base.flow_revision,
        task=task,
        variables=variables,
        flow_env=live.loaded.flow.env,
        ci=git_variables(git),
        git=git_place(git),
        required=row.required,
        evaluate=evaluate,
        masks=tuple(sorted(live.masks)),
        protected=live.loaded.protected,
    )


def plain_task(task: Task) -> dict[str, Any]:
    """A task as plain data; the children of a WorkingDirectory go with it."""
    plain: dict[str, Any] = {
        "id": task.id,
        "type": task.type,
        "kind": task.kind,
        "timeout": task.timeout,
        "logLevel": task.log_level.value if task.log_level else None,
        "logToFile": task.log_to_file,
        "killGrace": None if task.kill_grace is None else task.kill_grace.total_seconds(),
        "killSignal": task.kill_signal,
        "idleTimeout": None if task.idle_timeout is None else task.idle_timeout.total_seconds(),
        "properties": dict(task.properties),
    }
    if task.task_cache:
        plain["taskCache"] = dict(task.task_cache)
    if task.branches:
        plain["branches"] = {
            name: [
                {
                    **plain_task(child),
                    "disabled": child.disabled,
                    "runIf": child.run_if,
                    "allowFailure": child.allow_failure,
                    "allowWarning": child.allow_warning,
                }
                for child in children
            ]
            for name, children in task.branches.items()
        }
    return plain


def _reads_states(task: Mapping[str, Any], evaluate: Mapping[str, Any] | None) -> bool:
    text = f"{task['properties']}{task.get('branches', '')}{evaluate or ''}"
    return "tasks" in text or any(name in text for name in _READS_ANYTHING)
