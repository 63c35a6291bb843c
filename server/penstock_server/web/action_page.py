"""What people do on pages: start, kill, pause, resume, restart, replay.

Each is a form that is posted, does one thing through core, and leads to the page that shows it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flask import Response, request

from penstock_runner.executor.ids import ExecutionIds
from penstock_runner.flow.checks import BLOCK
from penstock_runner.flow.labels import offending
from penstock_runner.flow.model import Input
from penstock_server.api.actors import actor
from penstock_server.api.context import WebContext
from penstock_server.api.executions import START_SECONDS
from penstock_server.api.library import KnownFlow, Library
from penstock_server.api.problems import Problem
from penstock_server.api.resumes import on_resume
from penstock_server.api.routing import get, post
from penstock_server.api.starts import Starts
from penstock_server.core.client import CoreRefused
from penstock_server.core.shapes import Json
from penstock_server.web import forms, pages
from penstock_server.web.errors import Missing
from penstock_server.web.execution_page import Executions, Place
from penstock_server.web.pages import Pages, to


class Actions:
    """The forms that change something."""

    def __init__(
        self, context: WebContext, library: Library, executions: Executions, frame: Pages
    ) -> None:
        self._context = context
        self._library = library
        self._executions = executions
        self._pages = frame
        self._starts = Starts(context)
        self._ids = ExecutionIds()

    @get("/execute/<namespace>/<flow_id>")
    def form(self, namespace: str, flow_id: str) -> Response:
        """The form that starts a flow."""
        known = self._library.latest(namespace, flow_id)
        if known is None:
            raise Missing(f"No flow {flow_id[:100]} in {namespace[:150]}")
        flow = known.flow
        if flow is None:
            return self._form(known, ())
        flow = flow.model_copy(update={"revision": known.record.stored.revision})
        return self._form(known, forms.fields(flow.inputs), checks=self._starts.failed_checks(flow))

    @post("/execute/<namespace>/<flow_id>")
    def start(self, namespace: str, flow_id: str) -> Response:
        """Start it; what does not fit is shown beside its field."""
        known, flow = self._library.startable(namespace, flow_id)
        labels = forms.labels(request.form.get("labels", ""))
        refused = None if labels is None else offending(dict(labels), allowed=[])
        if labels is None or refused:
            told = refused[0] if refused else "A label is written key: value."
            return self._form(known, forms.fields(flow.inputs, request.form), label_error=told)
        given = forms.filled(flow.inputs, request.form, request.files)
        execution_id = self._ids.new(self._context.clock.now()) if given.files else None
        place = (namespace, flow_id, execution_id or "unknown")
        try:
            values = self._starts.resolved(flow.inputs, given, place)
        except Problem as problem:
            return self._form(known, self._again(flow.inputs, problem))
        try:
            answer = self._context.client.call(
                "execution.start",
                timeout=START_SECONDS,
                namespace=namespace,
                flow_id=flow_id,
                revision=known.record.stored.revision,
                inputs=values,
                labels=[list(pair) for pair in labels],
                wait=False,
                id=execution_id,
                origin="ui",
                by=actor(self._context),
            )
        except CoreRefused as refused:
            if not flow.checks:
                raise
            blocked: Json = {"message": str(refused), "style": "ERROR", "behavior": BLOCK}
            return self._form(known, forms.fields(flow.inputs, request.form), checks=[blocked])
        return to(pages.execution_link(namespace, flow_id, answer["execution"]["id"]))

    @post("/executions/<namespace>/<flow_id>/<execution_id>/kill")
    def kill(self, namespace: str, flow_id: str, execution_id: str) -> Response:
        """Ask for the end of an execution and of what it started."""
        place = self._place(namespace, flow_id, execution_id)
        self._call("execution.kill", id=execution_id, cascade=True, by=actor(self._context))
        return to(pages.execution_link(*place))

    @post("/executions/<namespace>/<flow_id>/<execution_id>/pause")
    def pause(self, namespace: str, flow_id: str, execution_id: str) -> Response:
        """Start nothing more until it is resumed."""
        place = self._place(namespace, flow_id, execution_id)
        self._call("execution.pause", id=execution_id)
        return to(pages.execution_link(*place))

    @post("/executions/<namespace>/<flow_id>/<execution_id>/resume")
    def resume(self, namespace: str, flow_id: str, execution_id: str) -> Response:
        """Go on after a pause with what it asks for."""
        shown = self._executions.shown((namespace, flow_id, execution_id))
        declared = on_resume(self._library, shown.execution)
        inputs = None
        if declared:
            given = forms.filled(declared, request.form, request.files)
            try:
                inputs = self._starts.resolved(declared, given, (namespace, flow_id, execution_id))
            except Problem as problem:
                fields = self._again(declared, problem)
                return self._pages.render(
                    "execution.html",
                    status=422,
                    shown=shown,
                    tab="",
                    gantt=self._executions.gantt(shown),
                    resume=fields,
                )
        self._call("execution.resume", id=execution_id, inputs=inputs)
        return to(pages.execution_link(namespace, flow_id, execution_id))

    @post("/executions/<namespace>/<flow_id>/<execution_id>/restart")
    def restart(self, namespace: str, flow_id: str, execution_id: str) -> Response:
        """Run again what failed."""
        place = self._place(namespace, flow_id, execution_id)
        self._call("execution.restart", id=execution_id, revision=None)
        return to(pages.execution_link(*place))

    @post("/executions/<namespace>/<flow_id>/<execution_id>/replay")
    def replay(self, namespace: str, flow_id: str, execution_id: str) -> Response:
        """Run again as a new execution."""
        self._place(namespace, flow_id, execution_id)
        answer = self._context.client.call(
            "execution.replay", id=execution_id, taskrun_id=None, revision=None
        )
        return to(pages.execution_link(namespace, flow_id, answer["execution"]["id"]))

    def _call(self, operation: str, **arguments: Any) -> None:
        self._context.client.call(operation, **arguments)

    def _place(self, *place: str) -> Place:
        """The execution's place, once it is known to be there."""
        return self._executions.place((place[0], place[1], place[2]))

    def _again(self, inputs: Sequence[Input], problem: Problem) -> tuple[forms.Field, ...]:
        errors = {str(e.get("path")): str(e.get("message")) for e in problem.errors}
        if not errors.keys() & {one.id for one in inputs}:
            raise problem
        return forms.fields(inputs, request.form, errors)

    def _form(
        self,
        known: KnownFlow,
        fields: Sequence[forms.Field],
        label_error: str = "",
        checks: Sequence[Json] = (),
    ) -> Response:
        stored = known.record.stored
        wrong = [field for field in fields if field.error]
        return self._pages.render(
            "execute.html",
            status=422 if wrong or label_error or (checks and request.method == "POST") else 200,
            stored=stored,
            fields=fields,
            wrong=wrong,
            labels=request.form.get("labels", ""),
            label_error=label_error,
            checks=checks,
            valid=known.flow is not None and not stored.disabled,
        )
