"""Evaluates an expression as a task run of an execution would see it, for people who write flows.

Secrets stay secret: what `secret()` gives here is masked, and secret inputs are still encrypted.
What could hold this process (jq, regular expressions, files, HTTP) is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from flask import Blueprint, Response, request

from penstock_runner.engine.fold import Fold
from penstock_runner.engine.state import Execution
from penstock_runner.executor.context import Context, taskrun_id
from penstock_runner.executor.flows import LoadedFlow, load
from penstock_runner.executor.messages import Refused
from penstock_runner.expressions.environment import Expressions, NoServices
from penstock_runner.expressions.errors import ExpressionFailed
from penstock_server.api import routing
from penstock_server.api.answers import json_answer
from penstock_server.api.context import WebContext
from penstock_server.api.executions import found
from penstock_server.api.library import Library
from penstock_server.api.problems import Problem, conflict, illegal_argument
from penstock_server.api.routing import action
from penstock_server.clock import Clock

MAX_EXPRESSION = 64 * 1024
MASK = "******"


class MaskedServices(NoServices):
    """A world with a clock, in which every secret is the same mask."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    def now(self) -> datetime:
        """The present instant."""
        return self._clock.now()

    def secret(self, name: str, namespace: str | None) -> str:  # noqa: ARG002 - the protocol
        """A mask."""
        return MASK


class EvaluationRoutes:
    """The two routes."""

    def __init__(self, context: WebContext, library: Library) -> None:
        self._context = context
        self._library = library
        self._expressions = Expressions()
        self._services = MaskedServices(context.clock)

    @action("POST", "eval/<run_id>")
    def evaluate(self, execution_id: str, run_id: str) -> Response:
        """Render the body as a task run would; what goes wrong is an answer too."""
        execution = found(self._context, execution_id)
        runs = (run for run in execution.runs.values())
        run = next((one for one in runs if taskrun_id(execution.id, one.key) == run_id), None)
        if run is None:
            raise illegal_argument(f"the execution has no task run '{run_id}'")
        loaded = self._loaded(execution)
        task = next((task for task in loaded.flow.walk() if task.id == run.task_id), None)
        if task is None:
            raise conflict(f"the flow has no task '{run.task_id}'")
        context = Context(loaded, Fold(loaded.plan, execution), {})
        return self._rendered(lambda: context.of_run(execution, run, task))

    @action("POST", "eval")
    def evaluate_execution(self, execution_id: str) -> Response:
        """Render the body as what belongs to no task would; what goes wrong is an answer too."""
        execution = found(self._context, execution_id)
        loaded = self._loaded(execution)
        context = Context(loaded, Fold(loaded.plan, execution), {})
        return self._rendered(lambda: context.of_execution(execution))

    def _loaded(self, execution: Execution) -> LoadedFlow:
        known = self._library.find(
            execution.namespace, execution.flow_id, execution.flow_revision, deleted=True
        )
        if known is None:
            raise conflict("the flow's revision is not stored any more")
        try:
            return load(known.record.stored)
        except Refused as refused:
            raise conflict(str(refused)) from None

    def _rendered(self, variables: Callable[[], dict[str, Any]]) -> Response:
        source = _expression()
        try:
            text = self._expressions.render(source, variables(), self._services, inline=True)
        except ExpressionFailed as failed:
            return json_answer({"error": str(failed), "stackTrace": str(failed)})
        return json_answer({"result": text})


def blueprint(context: WebContext, library: Library) -> Blueprint:
    """The two routes."""
    return routing.blueprint("evaluation", "/executions", EvaluationRoutes(context, library))


def _expression() -> str:
    raw = request.get_data(cache=False)
    if len(raw) > MAX_EXPRESSION:
        raise Problem(413, f"an expression has at most {MAX_EXPRESSION // 1024} KiB here")
    return raw.decode("utf-8", "replace")
