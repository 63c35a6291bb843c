"""What jobs without a runner wait for, as the runners of this moment tell it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from penstock_runner.engine.state import Execution, RunKey, State
from penstock_runner.executor.context import taskrun_id
from penstock_runner.flow.offers import Offer, why_waiting
from penstock_server.api.context import WebContext
from penstock_server.core.shapes import Json, execution_to_json, iso
from penstock_server.store import runners
from penstock_server.store.queries import placing
from penstock_server.store.queries.placing import PlacedJob

# Core notes runners every 15 seconds: one that it has not noted for so long is gone.
SILENT_AFTER = timedelta(seconds=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """A job that waits, and why."""

    job: PlacedJob
    reason: str


def waits_of(context: WebContext, execution: Execution) -> dict[RunKey, Wait]:
    """What the task runs of an execution wait for that have no runner."""
    runs = execution.runs.values()
    if execution.state.terminal or not any(run.state is State.CREATED for run in runs):
        return {}
    with context.database.read() as connection:
        waiting = placing.waiting_jobs(connection, execution.id)
        offers = (
            runners.offers_since(connection, context.clock.now() - SILENT_AFTER) if waiting else {}
        )
    return {job.key: wait_of(job, offers) for job in waiting if job.key in execution.runs}


def wait_of(job: PlacedJob, offers: Mapping[str, Offer]) -> Wait:
    """Why a job waits."""
    return Wait(job=job, reason=why_waiting(job.demand, offers))


def by_reason(waits: Sequence[Wait]) -> list[tuple[str, list[Wait]]]:
    """The reasons, each with those that wait for it."""
    found: dict[str, list[Wait]] = {}
    for wait in waits:
        found.setdefault(wait.reason, []).append(wait)
    return list(found.items())


def execution_shown(context: WebContext, execution: Execution) -> Json:
    """A veiled execution as clients see it, its task runs with what they wait for."""
    shown = execution_to_json(execution, context.clock.now())
    waits = waits_of(context, execution)
    if waits:
        of_run = {taskrun_id(execution.id, key): wait for key, wait in waits.items()}
        for run in shown.get("taskRunList", ()):
            wait = of_run.get(run["id"])
            if wait is not None:
                run["waiting"] = wait_to_json(wait)
    return shown


def wait_to_json(wait: Wait) -> Json:
    """What a job waits for."""
    return {
        "runsOn": list(wait.job.demand.required),
        "since": iso(wait.job.since),
        "reason": wait.reason,
    }
