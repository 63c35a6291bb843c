"""What can be done with an execution that is there: kill, pause, resume, restart, replay, ...

Core decides whether it can be done; what it says is the answer.
"""

from __future__ import annotations

from http import HTTPStatus

from flask import Blueprint, Response, request

from penstock_runner.flow.labels import SYSTEM_PREFIX
from penstock_server.api import parameters, routing
from penstock_server.api.actors import actor
from penstock_server.api.answers import empty, json_answer
from penstock_server.api.context import WebContext
from penstock_server.api.executions import found
from penstock_server.api.library import Library
from penstock_server.api.problems import Problem, illegal_argument, not_found
from penstock_server.api.resumes import resume_inputs
from penstock_server.api.routing import action, delete
from penstock_server.api.sources import json_of
from penstock_server.api.starts import Starts
from penstock_server.core.shapes import Json, execution_to_json


class ActionRoutes:
    """The routes below `/executions/<id>`."""

    def __init__(self, context: WebContext, library: Library) -> None:
        self._context = context
        self._library = library
        self._starts = Starts(context)
        self._call = context.client.call

    @action("DELETE", "kill")
    def kill(self, execution_id: str) -> Response:
        """Ask for the end of an execution, and of what it started."""
        found(self._context, execution_id)
        cascade = parameters.flag(request.args, "isOnKillCascade", default=True)
        self._call("execution.kill", id=execution_id, cascade=cascade, by=actor(self._context))
        return self._done(execution_id, HTTPStatus.ACCEPTED)

    @action("POST", "pause")
    def pause(self, execution_id: str) -> Response:
        """Start nothing more until it is resumed."""
        found(self._context, execution_id)
        self._call("execution.pause", id=execution_id)
        return self._done(execution_id, HTTPStatus.OK)

    @action("POST", "resume")
    def resume(self, execution_id: str) -> Response:
        """Go on after a pause, with the inputs that the pause asks for."""
        execution = found(self._context, execution_id)
        inputs = resume_inputs(self._library, self._starts, execution, request)
        self._call("execution.resume", id=execution_id, inputs=inputs)
        return self._done(execution_id, HTTPStatus.NO_CONTENT)

    @action("POST", "restart")
    def restart(self, execution_id: str) -> Response:
        """Run again what failed."""
        execution = found(self._context, execution_id)
        revision = _revision(self._library, execution.namespace, execution.flow_id)
        return self._execution(self._call("execution.restart", id=execution_id, revision=revision))

    @action("POST", "replay")
    def replay(self, execution_id: str) -> Response:
        """Run again as a new execution, from a task run or from the beginning."""
        execution = found(self._context, execution_id)
        revision = _revision(self._library, execution.namespace, execution.flow_id)
        return self._execution(
            self._call(
                "execution.replay",
                id=execution_id,
                taskrun_id=request.args.get("taskRunId") or None,
                revision=revision,
            )
        )

    @action("POST", "state")
    def mark(self, execution_id: str) -> Response:
        """Give a task run another state and go on from there."""
        found(self._context, execution_id)
        body = json_of(request)
        if not isinstance(body, dict) or not isinstance(body.get("taskRunId"), str):
            raise Problem(422, "taskRunId and state are needed", reason="Invalid json mapping")
        state = parameters.state(str(body.get("state")), "state")
        return self._execution(
            self._call(
                "execution.mark", id=execution_id, taskrun_id=body["taskRunId"], state=state.value
            )
        )

    @action("POST", "change-status")
    def change_status(self, execution_id: str) -> Response:
        """Give an ended execution another final state."""
        found(self._context, execution_id)
        status = parameters.state(parameters.required(request.args, "status"), "status")
        return self._execution(self._call("execution.status", id=execution_id, status=status.value))

    @action("POST", "labels")
    def labels(self, execution_id: str) -> Response:
        """Put labels on an ended execution; those of the same key are replaced."""
        execution = found(self._context, execution_id)
        given = label_list(json_of(request), dict(execution.labels))
        return self._execution(self._call("execution.labels", id=execution_id, labels=given))

    @action("POST", "force-run")
    def force(self, execution_id: str) -> Response:
        """Run now, whatever holds it back."""
        found(self._context, execution_id)
        return self._execution(self._call("execution.force", id=execution_id))

    @action("POST", "unqueue")
    def unqueue(self, execution_id: str) -> Response:
        """Run a queued execution although its flow's limit is reached."""
        found(self._context, execution_id)
        return self._execution(self._call("execution.unqueue", id=execution_id))

    def _execution(self, answer: Json) -> Response:
        execution: Json | None = answer.get("execution")
        shown = answer if execution is None else self._context.veil_json(execution)
        return json_answer(shown)

    def _done(self, execution_id: str, status: HTTPStatus) -> Response:
        """Newer clients, known by their address, are told what became of it; others the status."""
        if "/actions/" not in request.path:
            return empty(status)
        execution = found(self._context, execution_id)
        return json_answer(execution_to_json(execution, self._context.clock.now()))

    @delete("/<execution_id>")
    def remove(self, execution_id: str) -> Response:
        """Delete an execution with what belongs to it."""
        found(self._context, execution_id)
        self._call("execution.delete", id=execution_id, **deletion_flags())
        return empty()


def blueprint(context: WebContext, library: Library) -> Blueprint:
    """The routes below `/executions/<id>`."""
    return routing.blueprint("actions", "/executions", ActionRoutes(context, library))


def deletion_flags() -> dict[str, bool]:
    """What goes with an execution that is deleted."""
    return {
        "logs": parameters.flag(request.args, "deleteLogs", default=True),
        "metrics": parameters.flag(request.args, "deleteMetrics", default=True),
        "storage": parameters.flag(request.args, "deleteStorage", default=True),
    }


def label_list(body: object, present: dict[str, str]) -> list[list[str]]:
    """The labels of a body; entries without key and value are dropped, reserved ones refused."""
    if not isinstance(body, list) or not all(isinstance(item, dict) for item in body):
        raise Problem(422, "labels are a list of key and value", reason="Invalid json mapping")
    given: list[list[str]] = []
    for item in body:
        key, value = item.get("key"), item.get("value")
        if key == "" and value == "":
            continue
        if not isinstance(key, str) or not isinstance(value, str) or not key or not value:
            raise illegal_argument("a label has a key and a value, both texts")
        if key.startswith(SYSTEM_PREFIX) and present.get(key) != value:
            raise illegal_argument(
                f"System labels can only be set by Kestra itself, offending label: {key}={value}"
            )
        given.append([key, value])
    return given


def _revision(library: Library, namespace: str, flow_id: str) -> int | None:
    revision = parameters.whole(request.args, "revision")
    if revision is not None and library.find(namespace, flow_id, revision) is None:
        raise not_found(f"flow '{namespace}.{flow_id}' has no revision {revision}")
    return revision
