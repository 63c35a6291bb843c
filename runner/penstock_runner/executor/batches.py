"""The commit: from what the batch did to one write, and what follows from its success."""

from __future__ import annotations

import logging
from collections.abc import Callable

from penstock_runner.engine.altered import altered
from penstock_runner.executor.held import Working
from penstock_runner.executor.live import Live
from penstock_runner.executor.messages import OnChange
from penstock_runner.executor.store import Batch, ExecutionWrite

log = logging.getLogger(__name__)


def batch_of(working: Working, on_change: OnChange | None = None) -> Batch:
    """What the store is to write, with what others want to write when an execution has moved."""
    batch = Batch(
        writes=working.writes,
        kv=working.kv,
        jobs_assigned=working.jobs_assigned,
        jobs_ended=working.jobs_ended,
        timers_ended=working.timers_ended,
        mail_ended=working.mail_ended,
        idempotency=working.idempotency,
        executions_deleted=working.deleted,
        records_kept=working.kept,
    )
    batch.executions.update((write.execution.id, write) for write in working.given_up)
    batch.logs.extend(working.last_words)
    for write in working.given_up:
        if on_change is not None:
            told = 0 if write.read_version is None else len(write.execution.history) - 1
            batch.writes.extend(on_change(write.execution, told))
    for live in working.touched.values():
        _add(batch, live, on_change)
    cancel_out(batch)
    return batch


def _add(batch: Batch, live: Live, on_change: OnChange | None) -> None:
    """What the batch did to one execution."""
    part = live.part
    if part.events or live.read_version is None:
        execution = live.execution()
        version = (live.read_version or 0) + 1
        batch.executions[live.id] = ExecutionWrite(
            execution=altered(execution, {"version": version}),
            read_version=live.read_version,
            changed=part.changed,
            removed=part.removed,
            events=part.events,
        )
        if on_change is not None and len(execution.history) > live.told:
            batch.writes.extend(on_change(execution, live.told))
    batch.jobs.extend(part.jobs)
    batch.jobs_ended.extend(part.jobs_ended)
    batch.timers.extend(part.timers)
    batch.timers_ended.extend(part.timers_ended)
    batch.logs.extend(part.logs)
    batch.metrics.extend(part.metrics)
    batch.kv.extend(part.kv)
    batch.mail.extend(part.mail)
    batch.writes.extend(part.writes)


def cancel_out(batch: Batch) -> None:
    """A job or timer that was made and ended within the batch need not be written at all."""
    ended = set(batch.jobs_ended)
    if ended and batch.jobs:
        made = {(row.execution_id, str(row.key), row.attempt) for row in batch.jobs}
        batch.jobs = [
            row for row in batch.jobs if (row.execution_id, row.key, row.attempt) not in ended
        ]
        batch.jobs_ended = [job for job in batch.jobs_ended if job not in made]


def carefully(action: Callable[[], None]) -> None:
    """After the commit nothing may stop the loop: what others do with the news is their concern."""
    try:
        action()
    except Exception:
        log.exception("after the commit")
