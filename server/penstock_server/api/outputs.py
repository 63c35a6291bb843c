"""Outputs apart from the execution, where newer clients read them."""

from __future__ import annotations

from flask import Blueprint, Response

from penstock_runner.executor.context import taskrun_id
from penstock_server.api import routing
from penstock_server.api.answers import json_answer
from penstock_server.api.context import WebContext
from penstock_server.api.executions import found
from penstock_server.api.problems import not_found
from penstock_server.api.routing import get
from penstock_server.core.shapes import without_nulls


class OutputRoutes:
    """The routes below `/outputs`."""

    def __init__(self, context: WebContext) -> None:
        self._context = context

    @get("/executions/<execution_id>")
    def of_execution(self, execution_id: str) -> Response:
        """The outputs of the flow, empty until it has some."""
        return json_answer(found(self._context, execution_id).outputs or {})

    @get("/tasks/<execution_id>")
    def of_tasks(self, execution_id: str) -> Response:
        """Which task runs have outputs, in the order of their creation."""
        execution = found(self._context, execution_id)
        runs = sorted(execution.runs.values(), key=lambda run: run.order)
        return json_answer(
            [
                without_nulls(
                    {
                        "taskId": run.task_id,
                        "taskRunId": taskrun_id(execution.id, run.key),
                        "value": run.value,
                        "iteration": run.iteration,
                        "inline": True,
                    }
                )
                for run in runs
                if run.outputs
            ]
        )

    @get("/tasks/<execution_id>/<run_id>")
    def of_task(self, execution_id: str, run_id: str) -> Response:
        """The outputs of one task run."""
        execution = found(self._context, execution_id)
        for run in execution.runs.values():
            if taskrun_id(execution.id, run.key) == run_id:
                return json_answer(run.outputs or {})
        raise not_found(f"the execution has no task run '{run_id}'")


def blueprint(context: WebContext) -> Blueprint:
    """The routes below `/outputs`."""
    return routing.blueprint("outputs", "/outputs", OutputRoutes(context))
