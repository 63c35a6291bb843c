"""The pages of one execution: Gantt, logs, outputs, and what can be done with it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask import Response

from penstock_runner.engine.state import Execution, State
from penstock_runner.tasks.storage import BadAddress, FileMissing
from penstock_server.api.context import WebContext
from penstock_server.api.library import KnownFlow, Library
from penstock_server.api.resumes import on_resume
from penstock_server.api.routing import get
from penstock_server.api.waits import Wait, by_reason, waits_of
from penstock_server.store import queries
from penstock_server.store.queries import briefs
from penstock_server.store.queries import home as asked
from penstock_server.store.queries import lines as log_lines
from penstock_server.web import execution as view
from penstock_server.web import forms, gantt, notes, outputs, spans, topology
from penstock_server.web.errors import Missing
from penstock_server.web.execution import Head, Why
from penstock_server.web.pages import Pages

USUAL_OF = 24

Place = tuple[str, str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One execution with what its pages need around it."""

    execution: Execution
    known: KnownFlow | None
    head: Head
    why: Why | None
    lines: int
    durations: dict[str, float]
    waits: tuple[tuple[str, list[Wait]], ...] = ()


class Executions:
    """Reads executions for pages."""

    def __init__(self, context: WebContext, library: Library) -> None:
        self._context = context
        self._library = library

    def shown(self, place: Place, *, compare: bool = False) -> Shown:
        """One execution; with `compare` also how long its tasks took the last time."""
        execution_id = place[2]
        now = self._context.clock.now()
        with self._context.database.read() as connection:
            execution = queries.execution(connection, execution_id)
            if execution is None or (execution.namespace, execution.flow_id) != place[:2]:
                raise _missing(execution_id)
            return self._around(connection, execution, now, compare=compare)

    def place(self, place: Place) -> Place:
        """The place itself, if there is an execution at it."""
        with self._context.database.read() as connection:
            known = briefs.place_of(connection, place[2])
        if known != place[:2]:
            raise _missing(place[2])
        return place

    def _around(
        self, connection: Any, execution: Execution, now: datetime, *, compare: bool
    ) -> Shown:
        name = (execution.namespace, execution.flow_id)
        recents = briefs.recents(connection, [name], USUAL_OF)[name]
        before = [one for one in recents if one.id != execution.id]
        usual = spans.usual(before)
        why = None
        if execution.state is State.FAILED:
            said = asked.last_errors(connection, [execution.id], 5).get(execution.id, ())
            why = view.why(view.first_failed(execution), said)
        durations: dict[str, float] = {}
        if compare and not execution.state.terminal:
            good = next((one for one in before if one.state == "SUCCESS"), None)
            if good is not None:
                durations = briefs.task_durations(connection, good.id)
        known = self._library.find(*name, execution.flow_revision, deleted=True)
        git = None if known is None else known.record.stored.git
        veiled = self._context.veil(execution)
        return Shown(
            execution=veiled,
            known=known,
            head=view.head(veiled, git, usual, now),
            why=why,
            lines=log_lines.line_count(connection, execution.id),
            durations=durations,
            waits=tuple(by_reason(list(waits_of(self._context, execution).values()))),
        )

    def resume_fields(self, shown: Shown) -> tuple[forms.Field, ...]:
        """The fields that a paused execution wants filled in before it goes on."""
        if shown.execution.state is not State.PAUSED:
            return ()
        return forms.fields(on_resume(self._library, shown.execution))

    def read(self, uri: str, limit: int) -> bytes | None:
        """The beginning of a stored file; None when it is there no more."""
        try:
            return self._context.storage.read_bytes(uri, limit)
        except (FileMissing, BadAddress):
            return None

    def gantt(self, shown: Shown) -> gantt.Gantt:
        """The chart of an execution now."""
        flow = None if shown.known is None else shown.known.flow
        now = self._context.clock.now()
        return gantt.gantt(shown.execution, flow, now, shown.head.usual, shown.durations)


def _missing(execution_id: str) -> Missing:
    return Missing(
        f"No execution {execution_id[:40]}",
        "It may have been deleted by a purge, or the id has a slip in it.",
    )


class ExecutionPages:
    """The routes below `/executions/<namespace>/<flow>/<id>`."""

    def __init__(self, executions: Executions, frame: Pages) -> None:
        self._executions = executions
        self._pages = frame

    @get("/executions/<namespace>/<flow_id>/<execution_id>")
    def show(self, namespace: str, flow_id: str, execution_id: str) -> Response:
        """The Gantt chart."""
        shown = self._executions.shown((namespace, flow_id, execution_id), compare=True)
        return self._pages.render(
            "execution.html",
            shown=shown,
            tab="",
            gantt=self._executions.gantt(shown),
            resume=self._executions.resume_fields(shown),
            notes=notes.notes(shown.execution, self._executions.read),
        )

    @get("/executions/<namespace>/<flow_id>/<execution_id>/outputs")
    def outputs(self, namespace: str, flow_id: str, execution_id: str) -> Response:
        """What the execution and its tasks gave."""
        shown = self._executions.shown((namespace, flow_id, execution_id))
        flow = None if shown.known is None else shown.known.flow
        groups = outputs.groups(shown.execution, flow)
        return self._pages.render("outputs.html", shown=shown, tab="outputs", groups=groups)

    @get("/executions/<namespace>/<flow_id>/<execution_id>/topology")
    def topology(self, namespace: str, flow_id: str, execution_id: str) -> Response:
        """The tasks as a graph with their states."""
        shown = self._executions.shown((namespace, flow_id, execution_id))
        flow = None if shown.known is None else shown.known.flow
        drawn = None if flow is None else topology.drawn(flow, shown.execution)
        return self._pages.render("topology.html", shown=shown, tab="topology", drawn=drawn)
