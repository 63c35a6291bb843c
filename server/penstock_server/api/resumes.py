"""The inputs with which a paused execution goes on, as a request gives them."""

from __future__ import annotations

from flask import Request

from penstock_runner.engine.flowables.template import known as found_for
from penstock_runner.engine.plan import Plan
from penstock_runner.engine.state import Execution, State
from penstock_runner.executor.messages import Refused
from penstock_runner.executor.resumes import asked_on_resume, first_paused
from penstock_runner.flow.model import Input
from penstock_server.api.library import Library
from penstock_server.api.problems import conflict
from penstock_server.api.starts import Starts, given
from penstock_server.core.shapes import Json


def resume_inputs(
    library: Library,
    starts: Starts,
    execution: Execution,
    request: Request,
) -> Json | None:
    """The resolved inputs of the pause, None when it asks for none."""
    if execution.state is not State.PAUSED:
        raise conflict(f"Execution '{execution.id}' is not paused, can't resume it")
    declared = on_resume(library, execution)
    if not declared:
        return None
    place = (execution.namespace, execution.flow_id, execution.id)
    return starts.resolved(declared, given(request), place)


def on_resume(library: Library, execution: Execution) -> tuple[Input, ...]:
    """What the first paused task run asks for."""
    key = first_paused(execution)
    known = library.find(
        execution.namespace, execution.flow_id, execution.flow_revision, deleted=True
    )
    if key is None or known is None or known.flow is None:
        return ()
    plan = Plan.of(known.flow, found_for(execution))
    try:
        return asked_on_resume(plan.node_of(key).task) if plan.knows(key) else ()
    except Refused as refused:
        raise conflict(str(refused)) from None
