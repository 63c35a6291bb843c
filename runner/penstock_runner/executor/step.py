"""Carrying out the engine's commands for one execution, within one transaction.

What only computes is done here and fed back at once; the rest becomes a row (a job, a timer,
mail). One execution gets at most `INLINE_STEPS` steps or `INLINE_SECONDS` of a transaction, then
the others have their turn.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from penstock_runner.engine import commands as c
from penstock_runner.engine import events as e
from penstock_runner.engine.plan import node_id
from penstock_runner.engine.state import RunKey, State
from penstock_runner.executor import placing
from penstock_runner.executor.children import WANTED, wanted_outputs
from penstock_runner.executor.context import taskrun_id
from penstock_runner.executor.inline import (
    InlineContext,
    InlineRender,
    InlineServices,
    Surroundings,
)
from penstock_runner.executor.live import Live, masked
from penstock_runner.executor.questions import Questions
from penstock_runner.executor.sizes import TOO_LARGE, too_large
from penstock_runner.executor.store import JobRow, KvWrite, MetricRow, TimerRow
from penstock_runner.executor.values import Values
from penstock_runner.expressions.environment import is_pure
from penstock_runner.expressions.errors import ExpressionFailed, NotInline
from penstock_runner.flow import durations
from penstock_runner.flow.model import Level, Task
from penstock_runner.flow.offers import Demand
from penstock_runner.flow.routing import Route
from penstock_runner.tasks.api import Result, TaskFailed, TaskProperties
from penstock_runner.tasks.binding import bind
from penstock_runner.tasks.registry import Registry, UnknownType

INLINE_STEPS = 64
INLINE_SECONDS = 0.010
# The task that is a timer here; loading each class to ask would import its libraries into core.
SLEEP = "io.kestra.plugin.core.flow.Sleep"
SLEEP_PURPOSE = "sleep"
OVERSLEPT = "sleep-timeout"
NOWHERE_SPECIAL = Route()

log = logging.getLogger(__name__)


class Neighbours(Protocol):
    """What a step asks of the executor around it."""

    def kill_children(self, live: Live, command: c.KillSubflow, at: datetime) -> None: ...
    def retry_execution(self, live: Live, at: datetime) -> None: ...
    def new_job(self, live: Live, row: JobRow) -> None: ...
    @property
    def complete(self) -> bool: ...
    def told(self, row: JobRow) -> None: ...
    def why_unmatched(self, demand: Demand) -> str | None: ...
    def cancel_job(self, live: Live, key: RunKey, attempt: int, at: datetime) -> bool: ...
    def ended(self, live: Live, outputs: Mapping[str, Any] | None, error: str | None) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Stepper:
    """Does the steps of executions; holds nothing of its own."""

    registry: Registry
    around: Surroundings
    values: Values
    neighbours: Neighbours
    questions: Questions
    now: Callable[[], datetime]

    def run(self, live: Live) -> None:
        """Go on until nothing is left, or the execution has had its share."""
        steps = 0
        until = time.monotonic() + INLINE_SECONDS
        while live.commands or live.runnable:
            if live.commands:
                self._carry_out(live, live.commands.popleft())
                continue
            if steps >= INLINE_STEPS or time.monotonic() > until:
                return
            key, attempt = next(iter(live.runnable))
            self._run_job(live, live.runnable.pop((key, attempt)))
            steps += 1

    def _carry_out(self, live: Live, command: c.Command) -> None:
        at = live.time(self.now())
        match command:
            case c.RunJob():
                live.runnable[(command.key, command.attempt)] = command
            case c.Evaluate():
                self.questions.evaluate(live, command)
            case c.StartTimer():
                live.part.timers.append(
                    TimerRow(
                        execution_id=live.id,
                        key=command.key or "",
                        attempt=command.attempt,
                        purpose=command.purpose,
                        at=command.at,
                    )
                )
            case c.CancelJob():
                self._cancel(live, command, at)
            case c.WriteLog():
                live.log(
                    at, command.level, command.message, key=command.key, attempt=command.attempt
                )
            case c.StartSubflow():
                self.questions.start_child(live, command, at)
            case c.KillSubflow():
                self.neighbours.kill_children(live, command, at)
            case c.RetryExecution():
                self.neighbours.retry_execution(live, command.at)
            case c.End():
                self._end(live, at)

    def _end(self, live: Live, at: datetime) -> None:
        if WANTED not in live.base.facts:
            self.neighbours.ended(live, live.execution().outputs, None)
            return
        services = InlineServices(
            self.around, self.values, live.base.namespace, at, protected=live.loaded.protected
        )
        variables = live.variables(None)
        render = InlineRender(self.around.expressions, variables, services)
        self.neighbours.ended(live, *wanted_outputs(live, render))

    # Jobs

    def _run_job(self, live: Live, command: c.RunJob) -> None:
        run = live.fold.runs.get(command.key)
        if run is None or run.state.terminal or run.attempt != command.attempt:
            return
        task = live.task(command.key)
        if task.kind == SLEEP:
            self._sleep(live, command, task)
        elif self._may_run_here(live, command.key, task):
            self._run_here(live, command, task)
        else:
            self._hand_over(live, command)

    def _hand_over(self, live: Live, command: c.RunJob) -> None:
        """The task becomes a job of a runner."""
        at = live.time(self.now())
        try:
            route = self.route_of(live, command.key, at)
        except placing.PlacingFailed as failed:
            error, name = str(failed), (command.key, command.attempt)
            placing.refuse(live, *name, error, at, reason="setup")
            return
        placing.place(live, command, route, self.neighbours, at)

    def route_of(self, live: Live, key: RunKey, at: datetime) -> Route:
        """Where the job of a task run may go; raises one of `PlacingFailed`."""
        written = live.written_route(key)
        if written is None:
            return NOWHERE_SPECIAL
        services = InlineServices(
            self.around, self.values, live.base.namespace, at, protected=live.loaded.protected
        )
        render = InlineRender(self.around.expressions, live.variables(key), services)
        return placing.route_of(written, render)

    def _may_run_here(self, live: Live, key: RunKey, task: Task) -> bool:
        place = node_id(key)
        known = live.inline.get(place)
        if known is None:
            expressions = self.around.expressions
            known = (
                self.registry.is_inline(task.kind)
                and not task.log_to_file
                and not task.task_cache
                and is_pure(task.properties, expressions)
            )
            live.inline[place] = known
        return known

    def _run_here(self, live: Live, command: c.RunJob, task: Task) -> None:
        at = live.time(self.now())
        ctx = self._context(live, command, task, at)
        state, outputs, error = State.SUCCESS, None, None
        try:
            result = self._instance(task, ctx).run(ctx)
            if isinstance(result, Result):
                state, outputs = result.state, result.outputs
            else:
                outputs = result
            if too_large(outputs):
                state, outputs, error = State.FAILED, None, TOO_LARGE
        except NotInline:
            self._elsewhere(live, command)
            return
        except TaskFailed as failed:
            if isinstance(failed.__cause__, NotInline):
                self._elsewhere(live, command)
                return
            state, outputs, error = State.FAILED, failed.outputs, str(failed)
        except (ExpressionFailed, UnknownType) as failed:
            state, error = State.FAILED, str(failed)
        except Exception as failed:
            log.exception("task %s of execution %s failed unexpectedly", task.id, live.id)
            state, error = State.FAILED, f"{type(failed).__name__}: {failed}"
        live.mask(ctx.render_with.services.secrets_used)
        self._keep(live, command, ctx)
        if error is not None:
            live.log(at, Level.ERROR, error, key=command.key, attempt=command.attempt)
        _effects(live, command, ctx, at)
        live.feed(
            e.JobEnded(
                at=live.time(self.now()),
                key=command.key,
                attempt=command.attempt,
                state=state,
                outputs=outputs,
                error=masked(error, live.masks),
            )
        )

    def _elsewhere(self, live: Live, command: c.RunJob) -> None:
        """What only turned out while rendering: this task is a job, now and the next time."""
        live.inline[node_id(command.key)] = False
        self._hand_over(live, command)

    def _instance(self, task: Task, ctx: InlineContext) -> Any:
        cls: type[TaskProperties] = self.registry.load(task.kind)
        return bind(cls, task.properties, ctx.render_with)

    def _context(self, live: Live, command: c.RunJob, task: Task, at: datetime) -> InlineContext:
        services = InlineServices(
            self.around, self.values, live.base.namespace, at, protected=live.loaded.protected
        )
        variables = live.variables(command.key)

        def write(change: KvWrite) -> None:
            self.values.change(change)
            live.part.kv.append(change)

        return InlineContext(
            around=self.around,
            values=self.values,
            render_with=InlineRender(self.around.expressions, variables, services),
            at=at,
            namespace=live.base.namespace,
            flow_id=live.base.flow_id,
            execution_id=live.id,
            task_id=task.id,
            taskrun_id=taskrun_id(live.id, command.key),
            attempt=command.attempt,
            write_kv=write,
        )

    def _keep(self, live: Live, command: c.RunJob, ctx: InlineContext) -> None:
        for level, message in ctx.lines:
            live.log(ctx.at, level, message, key=command.key, attempt=command.attempt)
        live.part.metrics.extend(
            MetricRow(
                execution_id=live.id,
                taskrun_id=ctx.taskrun_id,
                task_id=ctx.task_id,
                namespace=ctx.namespace,
                flow_id=ctx.flow_id,
                at=ctx.at,
                name=metric.name,
                kind=metric.kind,
                value=metric.value,
                tags={name: live.masker.mask(tag) for name, tag in metric.tags.items()},
            )
            for metric in ctx.metrics
        )

    def _sleep(self, live: Live, command: c.RunJob, task: Task) -> None:
        at = live.time(self.now())
        ctx = self._context(live, command, task, at)
        try:
            instance = self._instance(task, ctx)
            delay = instance.delay()
            limit = _limit(task, ctx)
        except (TaskFailed, ExpressionFailed, durations.BadDuration) as failed:
            live.log(at, Level.ERROR, str(failed), key=command.key, attempt=command.attempt)
            live.feed(
                e.JobEnded(
                    at=at,
                    key=command.key,
                    attempt=command.attempt,
                    state=State.FAILED,
                    error=str(failed),
                )
            )
            return
        live.feed(e.JobStarted(at=at, key=command.key, attempt=command.attempt))
        live.log(
            at,
            Level.INFO,
            f"Waiting for {task.properties.get('duration')}",
            key=command.key,
            attempt=command.attempt,
        )
        live.sleeping.add((command.key, command.attempt))
        late = limit is not None and limit < delay
        live.part.timers.append(
            TimerRow(
                execution_id=live.id,
                key=command.key,
                attempt=command.attempt,
                purpose=OVERSLEPT if late else SLEEP_PURPOSE,
                at=at + (limit if late and limit is not None else delay),
            )
        )

    def _cancel(self, live: Live, command: c.CancelJob, at: datetime) -> None:
        name = (command.key, command.attempt)
        if live.runnable.pop(name, None) is None:
            if name in live.sleeping:
                live.sleeping.discard(name)
                live.part.timers_ended.extend(
                    (live.id, command.key, command.attempt, purpose)
                    for purpose in (SLEEP_PURPOSE, OVERSLEPT)
                )
            elif self.neighbours.cancel_job(live, command.key, command.attempt, at):
                return
        live.feed(e.JobEnded(at=at, key=command.key, attempt=command.attempt, state=State.KILLED))


def _effects(live: Live, command: c.RunJob, ctx: InlineContext, at: datetime) -> None:
    """What a task did to its execution."""
    if ctx.labels:
        live.feed(e.LabelsSet(at=at, labels=ctx.labels))
    if ctx.changed_variables:
        live.feed(e.VariablesSet(at=at, variables=ctx.changed_variables))
    if ctx.exit_state is not None:
        live.feed(e.ExitRequested(at=at, key=command.key, state=ctx.exit_state))


def _limit(task: Task, ctx: InlineContext) -> timedelta | None:
    """The `timeout` of a task that is a timer itself."""
    limit = ctx.render_with.typed(task.timeout)
    return None if limit in (None, "") else durations.parse(limit)
