"""The runners: what they offer, and what they work on."""

from __future__ import annotations

from datetime import datetime

from flask import Blueprint, Response

from penstock_server.api import routing
from penstock_server.api.answers import json_answer
from penstock_server.api.context import WebContext
from penstock_server.api.routing import get
from penstock_server.api.waits import SILENT_AFTER
from penstock_server.core.shapes import Json, iso
from penstock_server.store import runners
from penstock_server.store.queries import placing
from penstock_server.store.queries.placing import PlacedJob
from penstock_server.store.runners import RunnerRow


class RunnerRoutes:
    """The routes below `/runners`."""

    def __init__(self, context: WebContext) -> None:
        self._context = context

    @get("")
    def all(self) -> Response:
        """All runners that were heard of, by name, with their labels, slots and jobs."""
        now = self._context.clock.now()
        with self._context.database.read() as connection:
            found = runners.list_runners(connection)
            working = placing.jobs_of_runners(connection)
            waiting = placing.waiting_count(connection)
        results = [
            _runner(row, [job for job in working if job.runner == row.name], now) for row in found
        ]
        return json_answer({"results": results, "total": len(results), "waiting": waiting})


def blueprint(context: WebContext) -> Blueprint:
    """The routes below `/runners`."""
    return routing.blueprint("runners", "/runners", RunnerRoutes(context))


def _runner(row: RunnerRow, jobs: list[PlacedJob], now: datetime) -> Json:
    return {
        "name": row.name,
        "state": "ALIVE" if now - row.seen_at <= SILENT_AFTER else "SILENT",
        "labels": list(row.labels),
        "namespaces": list(row.namespaces),
        "protected": row.protected,
        "slots": row.slots,
        "busy": row.busy,
        "startDate": iso(row.started_at),
        "heardDate": iso(row.seen_at),
        "jobs": [
            {
                "executionId": job.execution_id,
                "namespace": job.namespace,
                "flowId": job.flow_id,
                "taskId": job.task_id,
                "since": iso(job.since),
            }
            for job in jobs
        ],
    }
