"""A WorkingDirectory: tasks that run one after the other in one workspace, as one job.

Before the tasks: cache, namespace files, input files, services. After them, also when one failed:
the services end, output files, and the cache when all went well. A task sees the outputs of those
before it, and what they wrote to `$PENSTOCK_ENV` and `$PENSTOCK_PATH`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from penstock_runner.engine.state import State
from penstock_runner.expressions.errors import ExpressionFailed
from penstock_runner.expressions.truth import truthy
from penstock_runner.flow.model import Level
from penstock_runner.jobs import directory_services
from penstock_runner.jobs.context import JobContext
from penstock_runner.jobs.directory_cache import DirectoryCache
from penstock_runner.jobs.directory_services import DirectoryServices
from penstock_runner.jobs.environment import Earlier
from penstock_runner.jobs.execute import Outcome, run_task
from penstock_runner.jobs.parts import Outside, Parts
from penstock_runner.jobs.protocol import Job
from penstock_runner.tasks.api import TaskFailed

ENDS_IT = (State.FAILED, State.KILLED)


def run(job: Job, parts: Parts, outside: Outside, context: JobContext) -> Outcome:
    """Run the tasks until one fails, and say how each ended."""
    properties: Mapping[str, Any] = job.task.get("properties") or {}
    try:
        cache = _before(properties, context)
        services = directory_services.start(properties, job, outside, context)
    except (TaskFailed, ExpressionFailed) as failed:
        return Outcome(
            state=State.FAILED,
            error=f"Failed preExecuteTasks on WorkingDirectory: {failed}",
            reason="setup",
        )
    try:
        children = _Children(job, parts, outside, context, services).run()
    finally:
        if services is not None:
            services.end()
    state = _state([str(child["state"]) for child in children])
    outcome = Outcome(state=state, outputs={}, children=tuple(children))
    last = children[-1] if children else None
    if state is State.FAILED and last is not None:
        outcome = replace(outcome, reason=last["reason"], exit_code=last["exit_code"])
    return _after(properties, context, outcome, cache)


def _before(properties: Mapping[str, Any], context: JobContext) -> DirectoryCache | None:
    if properties.get("checkout"):
        context.check_out()
    cache = DirectoryCache(properties["cache"], context) if properties.get("cache") else None
    if cache is not None:
        cache.restore()
    context.place_files(
        namespace_files=properties.get("namespaceFiles"),
        input_files=properties.get("inputFiles"),
    )
    return cache


def _after(
    properties: Mapping[str, Any],
    context: JobContext,
    outcome: Outcome,
    cache: DirectoryCache | None,
) -> Outcome:
    try:
        patterns = context.renderer.deep(properties.get("outputFiles") or [])
        if patterns:
            outcome = replace(outcome, outputs={"outputFiles": context.collect_files(patterns)})
    except (TaskFailed, ExpressionFailed, OSError) as failed:
        error = f"Failed postExecuteTasks on WorkingDirectory: {failed}"
        return replace(outcome, state=State.FAILED, error=error)
    if cache is not None and outcome.state in {State.SUCCESS, State.WARNING}:
        try:
            cache.save()
        except (TaskFailed, ExpressionFailed, OSError) as failed:
            context.log(Level.WARN, f"The cache could not be saved: {failed}")
    return outcome


class _Children:
    """The tasks of one WorkingDirectory while they run."""

    def __init__(
        self,
        job: Job,
        parts: Parts,
        outside: Outside,
        context: JobContext,
        services: DirectoryServices | None,
    ) -> None:
        self._job = job
        self._parts = parts
        self._outside = outside
        self._context = context
        self._outputs: dict[str, Any] = dict(job.variables.get("outputs") or {})
        self._earlier = Earlier()
        if services is not None:
            services.tell(self._earlier)

    def run(self) -> list[dict[str, Any]]:
        ended: list[dict[str, Any]] = []
        given = self._context.renderer.deep((self._job.task.get("properties") or {}).get("env"))
        self._earlier.env.update(
            {str(k): str(v) for k, v in (given or {}).items() if v is not None}
        )
        for task in (self._job.task.get("branches") or {}).get("tasks") or ():
            if task.get("disabled"):
                continue
            child = self._run(task)
            ended.append(child)
            if child["state"] in ENDS_IT or self._outside.cancellation.reason is not None:
                break
        return ended

    def _run(self, task: Mapping[str, Any]) -> dict[str, Any]:
        created = self._parts.now()
        taskrun_id = str(task.get("taskrunId") or f"{self._job.taskrun_id}-{task['id']}")
        child = self._context.child(
            task=task,
            taskrun_id=taskrun_id,
            variables=self._variables(task, taskrun_id, created),
            earlier=self._earlier,
        )
        skipped = _skipped(task, child)
        began = self._parts.now()
        outcome = skipped or run_task(child, task, self._parts, self._outside)
        if self._outside.cancellation.reason == "killed":
            outcome = replace(outcome, state=State.KILLED, reason="killed", error=None)
        if outcome.error is not None:
            child.log(Level.ERROR, outcome.error)
        self._keep(task, outcome)
        state = _allowed(outcome.state, task)
        between = [] if outcome.state is State.SKIPPED else [[State.RUNNING.value, began]]
        history = [[State.CREATED.value, created], *between, [state.value, self._parts.now()]]
        self._context.finish_child(self._earlier)
        return {
            "task_id": task["id"],
            "key": f"{task['id']}{self._job.key.removeprefix(str(self._job.task['id']))}",
            "taskrun_id": taskrun_id,
            "state": state.value,
            "attempt_state": outcome.state.value,
            "history": history,
            "outputs": outcome.outputs,
            "error": None if outcome.error is None else child.masked(outcome.error),
            "reason": outcome.reason,
            "exit_code": outcome.exit_code,
        }

    def _keep(self, task: Mapping[str, Any], outcome: Outcome) -> None:
        """What later tasks see of this one."""
        if outcome.outputs:
            tree = self._outputs
            names = [str(task["id"]), *_values(self._job.variables)]
            for name in names[:-1]:
                below = tree[name] = dict(tree.get(name) or {})
                tree = below
            tree[names[-1]] = outcome.outputs

    def _variables(
        self, task: Mapping[str, Any], taskrun_id: str, created: datetime
    ) -> dict[str, Any]:
        around = self._job.variables
        own = around.get("taskrun") or {}
        taskrun: dict[str, Any] = {
            "id": taskrun_id,
            "startDate": created,
            "attemptsCount": 0,
            "parentId": self._job.taskrun_id,
        }
        if own.get("value") is not None:
            taskrun["value"] = own["value"]
        variables = {
            **around,
            "outputs": self._outputs,
            "task": {"id": task["id"], "type": task["type"]},
            "taskrun": taskrun,
        }
        if "value" in taskrun:
            level = {"taskrun": {"value": taskrun["value"]}}
            variables |= {"parent": level, "parents": [level, *(around.get("parents") or ())]}
        return variables


def _values(variables: Mapping[str, Any]) -> list[str]:
    """The loop values around the directory, the outermost first."""
    parents = [level.get("taskrun") or {} for level in variables.get("parents") or ()]
    found = [run.get("value") for run in (variables.get("taskrun") or {}, *parents)]
    return [str(value) for value in reversed(found) if value is not None]


def _skipped(task: Mapping[str, Any], child: JobContext) -> Outcome | None:
    if task.get("runIf") is None:
        return None
    try:
        if truthy(child.renderer.text(str(task["runIf"]))):
            return None
        return Outcome(state=State.SKIPPED)
    except ExpressionFailed as failed:
        error = f"Unable to evaluate the runIf condition for task {task['id']}: {failed}"
        return Outcome(state=State.FAILED, error=error)


def _allowed(state: State, task: Mapping[str, Any]) -> State:
    if state is State.FAILED and task.get("allowFailure"):
        state = State.WARNING
    if state is State.WARNING and task.get("allowWarning"):
        state = State.SUCCESS
    return state


def _state(states: list[str]) -> State:
    for state in (State.KILLED, State.FAILED, State.WARNING):
        if state.value in states:
            return state
    return State.SUCCESS
