"""Answers to what the engine asks: expressions rendered, conditions held, batches read.

What is pure is answered within the step; the rest becomes a job that only renders.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from penstock_runner.engine import commands as c
from penstock_runner.engine import events as e
from penstock_runner.engine.batches import BASE
from penstock_runner.engine.flowables.template import FOUND
from penstock_runner.engine.flowables.template import PURPOSE as TEMPLATE
from penstock_runner.engine.plan import LISTENERS
from penstock_runner.engine.state import RunKey, State
from penstock_runner.executor import templates
from penstock_runner.executor.children import batch_variables, listed_batches, outputs_place
from penstock_runner.executor.inline import InlineRender, InlineServices, Surroundings
from penstock_runner.executor.jobs import of_flow
from penstock_runner.executor.live import Live, masked
from penstock_runner.executor.loops import completed
from penstock_runner.executor.store import JobRow
from penstock_runner.executor.templates import FindTemplate
from penstock_runner.executor.values import Values
from penstock_runner.expressions.environment import is_pure
from penstock_runner.expressions.errors import ExpressionFailed, NotInline
from penstock_runner.flow.inputs import resolve_outputs
from penstock_runner.flow.model import Level
from penstock_runner.flow.values import BadValue
from penstock_runner.jobs.secrets import named_in, values_named
from penstock_runner.tasks import conditions
from penstock_runner.tasks.api import TaskFailed
from penstock_runner.tasks.registry import Registry, UnknownType
from penstock_runner.tasks.storage import BadAddress, FileMissing

BATCHES, CHILD, OUTPUTS = "batches", "child", "outputs"

log = logging.getLogger(__name__)


class Neighbours(Protocol):
    """What an answer asks of the executor around it."""

    def start_child(self, parent: Live, command: c.StartSubflow, at: datetime) -> None: ...
    def new_job(self, live: Live, row: JobRow) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Questions:
    """Renders what gates, children and ends ask for; holds nothing of its own."""

    registry: Registry
    around: Surroundings
    values: Values
    neighbours: Neighbours
    now: Callable[[], datetime]
    find_template: FindTemplate
    encrypt: Callable[[str], str] | None = None

    def evaluate(self, live: Live, command: c.Evaluate) -> None:
        """Answer a question of the engine, here or by a job."""
        at = live.time(self.now())
        if _subject(command) == LISTENERS:
            self._listen(live, command, at)
        else:
            child = live.asked_children.get((RunKey(str(command.key)), command.purpose))
            variables = (
                live.variables(command.key) if child is None else batch_variables(live, child)
            )
            self._render(live, command, variables, at)

    def start_child(self, live: Live, command: c.StartSubflow, at: datetime) -> None:
        """Start a child execution; one for a batch gets inputs of its own first."""
        if "iteration" not in command.request:
            self.neighbours.start_child(live, command, at)
            return
        run = live.fold.runs.get(command.key)
        if run is None or run.state is not State.RUNNING or run.attempt != command.attempt:
            return
        if "items" not in command.request:
            try:
                uris = listed_batches(self.around.storage, command.request.get("splits"))
                request = {**command.request, "items": uris[command.index]}
            except (BadAddress, FileMissing, IndexError) as lost:
                self._fail_child(live, command, f"The list of batches cannot be read: {lost}", at)
                return
            command = c.StartSubflow(
                key=command.key, attempt=command.attempt, request=request, index=command.index
            )
        asked = c.Evaluate(
            key=command.key,
            purpose=f"{CHILD}#{command.index}",
            expressions={"inputs": command.request.get("inputs") or {}},
        )
        live.asked_children[command.key, asked.purpose] = command
        self._render(live, asked, batch_variables(live, command), at)

    def _render(
        self, live: Live, command: c.Evaluate, variables: dict[str, Any], at: datetime
    ) -> None:
        if not is_pure(dict(command.expressions), self.around.expressions):
            self._elsewhere(live, command)
            return
        services = InlineServices(
            self.around, self.values, live.base.namespace, at, protected=live.loaded.protected
        )
        render = InlineRender(self.around.expressions, variables, services)
        values: dict[str, Any] = {}
        error: str | None = None
        try:
            for name, expression in command.expressions.items():
                if name in command.typed:
                    values[name] = render.typed(expression)
                elif isinstance(expression, str):
                    values[name] = render.text(expression)
                else:
                    values[name] = render.deep(expression)
        except NotInline:
            self._elsewhere(live, command)
            return
        except ExpressionFailed as failed:
            error = str(failed)
        live.mask(services.secrets_used)
        self.answer(live, command, values, error, at)

    def _elsewhere(self, live: Live, command: c.Evaluate) -> None:
        task_id = live.fold.run(command.key).task_id if command.key is not None else ""
        row = JobRow(
            execution_id=live.id,
            key=RunKey(f"{command.key or ''}?{command.purpose}"),
            attempt=len(live.evaluating) + 1,
            task_id=task_id,
            created=live.time(self.now()),
            purpose=command.purpose,
        )
        live.evaluating[(row.execution_id, row.key, row.attempt)] = command
        self.neighbours.new_job(live, of_flow(live, row))

    def answer(
        self,
        live: Live,
        command: c.Evaluate,
        values: dict[str, Any],
        error: str | None,
        at: datetime,
    ) -> None:
        """Give the engine what it asked for, checked and completed as its subject demands."""
        subject = _subject(command)
        if subject == CHILD and command.key is not None:
            self._child_asked(live, command, values, error, at)
            return
        try:
            if error is None and subject == OUTPUTS and command.key is None:
                outputs = live.loaded.flow.outputs
                values = dict(resolve_outputs(outputs, values, encrypt=self.encrypt))
            elif error is None and subject == BATCHES and command.key is not None:
                values = self._with_batches(live, command.key, values)
            elif error is None and command.key is not None and subject == TEMPLATE:
                found = templates.found(live, command.key, self.find_template)
                live.mask(values_named(self.around.secrets, named_in(str(found))))
                values = {**values, FOUND: found}
            elif error is None and command.key is not None and command.key in live.fold.runs:
                storage = self.around.storage
                values = completed(live, command.key, subject, values, storage, self.encrypt)
        except (BadValue, BadAddress, FileMissing, ExpressionFailed, OSError) as failed:
            error = str(failed)
        live.feed(
            e.Evaluated(
                at=at,
                key=command.key,
                purpose=command.purpose,
                values={} if error else values,
                error=masked(error, live.masks),
            )
        )

    # Batches

    def _with_batches(self, live: Live, key: RunKey, values: dict[str, Any]) -> dict[str, Any]:
        found = listed_batches(self.around.storage, values.get("splits"))
        return {**values, BATCHES: found, BASE: outputs_place(live, key)}

    def _child_asked(
        self,
        live: Live,
        asked: c.Evaluate,
        values: Mapping[str, Any],
        error: str | None,
        at: datetime,
    ) -> None:
        command = live.asked_children.pop((RunKey(str(asked.key)), asked.purpose), None)
        if command is None:
            return
        if error is not None:
            self._fail_child(live, command, error, at)
            return
        request = {**command.request, "inputs": values.get("inputs") or {}}
        child = c.StartSubflow(
            key=command.key, attempt=command.attempt, request=request, index=command.index
        )
        self.neighbours.start_child(live, child, at)

    def _fail_child(self, live: Live, command: c.StartSubflow, error: str, at: datetime) -> None:
        live.feed(
            e.JobEnded(
                at=at,
                key=command.key,
                attempt=command.attempt,
                state=State.FAILED,
                error=masked(error, live.masks),
            )
        )

    # Listeners

    def _listen(self, live: Live, command: c.Evaluate, at: datetime) -> None:
        services = InlineServices(
            self.around, self.values, live.base.namespace, at, protected=live.loaded.protected
        )
        variables = live.variables(None)
        render = InlineRender(self.around.expressions, variables, services)
        heard = {
            place: all(self._holds(live, render, one, at) for one in _conditions(written))
            for place, written in command.expressions.items()
        }
        live.mask(services.secrets_used)
        live.feed(e.Evaluated(at=at, key=None, purpose=command.purpose, values=heard))

    def _holds(
        self, live: Live, render: InlineRender, condition: Mapping[str, object], at: datetime
    ) -> bool:
        try:
            return conditions.evaluate(
                condition,
                render,
                self.registry.load,
                namespace=live.base.namespace,
                flow_id=live.base.flow_id,
                execution=live.execution(),
                outputs=live.variables(None).get("outputs"),
            )
        except (TaskFailed, ExpressionFailed, UnknownType) as failed:
            live.log(at, Level.WARN, f"A condition of a listener cannot be told: {failed}")
            return False


def _subject(command: c.Evaluate) -> str:
    return command.purpose.split("#", maxsplit=1)[0]


def _conditions(written: object) -> list[Mapping[str, object]]:
    listed = written if isinstance(written, list | tuple) else ()
    return [one for one in listed if isinstance(one, Mapping)]
