"""Does one job from its description to its report; used by workers and by `penstock run`.

Whatever goes wrong in a task ends in a report: nothing that a task raises leaves `execute`.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from penstock_runner.engine.state import State
from penstock_runner.expressions.errors import ExpressionFailed
from penstock_runner.flow import durations
from penstock_runner.flow.model import Level
from penstock_runner.jobs.context import JobContext
from penstock_runner.jobs.log_files import LogFile
from penstock_runner.jobs.logs import LogBook
from penstock_runner.jobs.masking import Masker
from penstock_runner.jobs.notes import notes_of
from penstock_runner.jobs.parts import Outside, Parts
from penstock_runner.jobs.plain import plain
from penstock_runner.jobs.protocol import Job, Report
from penstock_runner.jobs.task_cache import task_cache
from penstock_runner.jobs.workspace import Workspace, workspace_folder
from penstock_runner.tasks.api import Cancelled, Result, TaskFailed
from penstock_runner.tasks.binding import bind
from penstock_runner.tasks.polling import WORD, hear

MOST_MASKS = 100
WORKING_DIRECTORY = "io.kestra.plugin.core.flow.WorkingDirectory"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a task ended, before it becomes a report."""

    state: State
    outputs: Mapping[str, Any] | None = None
    error: str | None = None
    reason: str | None = None
    exit_code: int | None = None
    children: tuple[Mapping[str, Any], ...] = field(default=())


def execute(job: Job, parts: Parts, outside: Outside) -> Report:
    """Run the job and say how it ended; its workspace is gone afterwards."""
    masker = Masker(job.masks)
    least = job.task.get("logLevel")
    kept = LogFile() if job.task.get("logToFile") else None
    log = LogBook(
        now=parts.now,
        masker=masker,
        emit=outside.emit if kept is None else kept.emit,
        least=Level(least) if least else Level.TRACE,
    )
    outside.flush_regularly(log.flush)
    folder = workspace_folder(parts.settings.workspaces, job.taskrun_id, job.attempt)
    workspace = Workspace(folder, parts.settings.run_as, outside.spares)
    context = _context(job, parts, outside, workspace, log, masker)
    try:
        outcome = _outcome(job, parts, outside, context)
        if outcome.error is not None:
            log.say(Level.ERROR, outcome.error)
        effects, notes = context.effects, notes_of(context, parts.storage, job)
    finally:
        workspace.remove()
        log.flush()
    log_file = None if kept is None else kept.store(parts.storage, job)
    return Report(
        execution_id=job.execution_id,
        key=job.key,
        attempt=job.attempt,
        state=outcome.state.value,
        at=parts.now(),
        outputs=outcome.outputs,
        error=None if outcome.error is None else masker.mask(outcome.error),
        reason=outcome.reason,
        exit_code=outcome.exit_code,
        effects=effects,
        notes=notes,
        masks=tuple(masker.learnt[:MOST_MASKS]),
        metrics=tuple(context.metrics),
        children=outcome.children,
        last_line=log.last if kept is None else 0,
        log_file=log_file,
    )


def _context(
    job: Job, parts: Parts, outside: Outside, workspace: Workspace, log: LogBook, masker: Masker
) -> JobContext:
    settings = parts.settings
    return JobContext(
        job=job,
        parts=parts,
        outside=outside,
        workspace=workspace,
        log=log,
        masker=masker,
        task_id=str(job.task["id"]),
        taskrun_id=job.taskrun_id,
        variables={"envs": settings.envs, "globals": settings.globals, **job.variables},
    )


def run_task(
    context: JobContext, task: Mapping[str, Any], parts: Parts, outside: Outside
) -> Outcome:
    """Bind, render and run one task; every way to fail becomes an outcome."""

    def act() -> Outcome:
        cls = parts.task_class(str(task.get("kind") or task["type"]))
        instance = bind(cls, task.get("properties") or {}, context.renderer)
        return _cached(instance, context, task, outside)

    return _guarded(act, context)


def _guarded(act: Callable[[], Outcome], context: JobContext) -> Outcome:
    try:
        return act()
    except Cancelled:
        return Outcome(state=State.KILLED, reason="killed")
    except TaskFailed as failed:
        return Outcome(
            state=State.FAILED,
            outputs=None if failed.outputs is None else _outputs(failed.outputs),
            error=str(failed),
            reason=failed.reason,
            exit_code=failed.exit_code,
        )
    except (ExpressionFailed, LookupError) as failed:
        return Outcome(state=State.FAILED, error=_message(failed))
    except Exception as failed:  # noqa: BLE001 - a task's own fault must end its task run only
        context.log(Level.TRACE, traceback.format_exc())
        return Outcome(state=State.FAILED, error=_message(failed))


def _cached(
    instance: Any, context: JobContext, task: Mapping[str, Any], outside: Outside
) -> Outcome:
    """What the task gives, or what it gave an earlier time when its cache has that."""
    cache = task_cache(task, context)
    kept = cache.kept() if cache else None
    if kept is not None:
        return Outcome(state=State.SUCCESS, outputs=kept)
    with outside.interruptible():
        given = _called(instance, task.get(WORD), context)
    ended = given if isinstance(given, Result) else Result(outputs=given or {})
    outcome = Outcome(state=ended.state, outputs=_outputs(ended.outputs))
    if cache is not None and outcome.state is State.SUCCESS:
        cache.keep(outcome.outputs or {})
    return outcome


def _called(instance: Any, word: Mapping[str, Any] | None, context: JobContext) -> Any:
    """What a task gives; a polling trigger may be called to hear of what it has found before."""
    return instance.run(context) if word is None else hear(instance, context, word)


def _outcome(job: Job, parts: Parts, outside: Outside, context: JobContext) -> Outcome:
    if job.evaluate is not None:
        outside.deadline(parts.settings.limits.evaluate)
        return _evaluate(job.evaluate, context)
    try:
        limit = _timeout(job.task.get("timeout"), context)
    except (ExpressionFailed, durations.BadDuration) as error:
        return Outcome(state=State.FAILED, error=f"timeout: {error}")
    if limit is not None:
        outside.deadline(limit)
    if job.task.get("kind") == WORKING_DIRECTORY or (job.task.get("branches") or {}).get("tasks"):
        from penstock_runner.jobs import working_directory

        outcome = _guarded(lambda: working_directory.run(job, parts, outside, context), context)
    else:
        outcome = run_task(context, job.task, parts, outside)
    return _judged(outcome, outside, limit, context.silent_for)


def _judged(
    outcome: Outcome, outside: Outside, limit: float | None, silent_for: float | None
) -> Outcome:
    """The outcome of an attempt that was asked to stop is that, whatever the task says."""
    match outside.cancellation.reason:
        case "killed":
            return replace(outcome, state=State.KILLED, reason="killed", error=None)
        case "timeout":
            error = f"Timeout after {clock(limit or 0)}"
            if silent_for is not None:
                error = f"No output for {clock(silent_for)}, which is the idleTimeout of the task"
            return replace(outcome, state=State.FAILED, reason="timeout", error=error)
        case _:
            return outcome


def _evaluate(asked: Mapping[str, Any], context: JobContext) -> Outcome:
    typed = set(asked.get("typed") or ())
    try:
        values = {
            name: (context.renderer.typed if name in typed else context.renderer.deep)(source)
            for name, source in asked["expressions"].items()
        }
    except (ExpressionFailed, TaskFailed) as failed:
        return Outcome(state=State.FAILED, error=str(failed))
    return Outcome(state=State.SUCCESS, outputs=_outputs(values))


def _timeout(value: object, context: JobContext) -> float | None:
    if value is None:
        return None
    rendered = context.renderer.typed(value)
    return durations.parse(rendered).total_seconds() if rendered not in (None, "") else None


def _outputs(values: Mapping[str, Any]) -> Mapping[str, Any]:
    return {str(key): plain(value) for key, value in values.items()}


def _message(error: BaseException) -> str:
    return str(error) or type(error).__name__


def clock(seconds: float) -> str:
    """A duration as `HH:mm:ss.SSS`."""
    milliseconds = round(seconds * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest // 1000:02}.{rest % 1000:03}"
