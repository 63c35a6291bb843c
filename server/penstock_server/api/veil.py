"""Hides secrets in inputs, outputs and labels of executions where people and clients read them.

What is stored stays as it is, since later tasks read it. Hidden are the secrets that the revision
names, all of them where it works a name out, and what was given for its SECRET inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, cast

from penstock_runner.engine.state import Execution, TaskRun
from penstock_runner.executor.context import revealed
from penstock_runner.flow.model import Input
from penstock_runner.flow.parse import parse_flow
from penstock_runner.jobs.masking import Masker
from penstock_runner.jobs.secrets import Names, named_in, values_named
from penstock_server.core.shapes import Json
from penstock_server.store import queries
from penstock_server.store.engine import Database

REMEMBERED = 2000
_OF_A_RUN = ("outputs", "value")


class _NotStored(LookupError):
    """The revision is there no more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Named:
    """What a revision says of secrets."""

    secrets: Names
    inputs: tuple[Input, ...]


class Veil:
    """Masks executions; `defaults` is the text of plugin defaults that hold for every flow."""

    def __init__(
        self,
        database: Database,
        secrets: Mapping[str, str],
        decrypt: Callable[[str], str] | None,
        defaults: str = "",
    ) -> None:
        self._database = database
        self._secrets = secrets
        self._decrypt = decrypt
        self._defaults = defaults
        self._named = lru_cache(maxsize=REMEMBERED)(self._read)

    def over(self, execution: Execution) -> Execution:
        """The execution as it may be shown."""
        masker = self._masker(
            execution.namespace, execution.flow_id, execution.flow_revision, execution.inputs
        )
        if masker.empty:
            return execution
        runs = {key: _veiled_run(run, masker) for key, run in execution.runs.items()}
        return replace(
            execution,
            runs=runs,
            inputs=_veiled(execution.inputs, masker),
            outputs=_veiled(execution.outputs, masker),
            variables=_veiled(execution.variables, masker),
            labels={name: masker.mask(value) for name, value in execution.labels.items()},
        )

    def over_json(self, shown: Json) -> Json:
        """The same for an execution that core has answered with."""
        revision = (shown["namespace"], shown["flowId"], shown["flowRevision"])
        masker = self._masker(*revision, shown.get("inputs"))
        if masker.empty:
            return shown
        veiled = dict(shown)
        for name in ("inputs", "outputs", "variables", "labels"):
            if name in shown:
                veiled[name] = masker.deep(shown[name])
        if "taskRunList" in shown:
            veiled["taskRunList"] = [
                {**run, **{name: masker.deep(run[name]) for name in _OF_A_RUN if name in run}}
                for run in shown["taskRunList"]
            ]
        return veiled

    def _masker(
        self, namespace: str, flow_id: str, revision: int, inputs: Mapping[str, Any] | None
    ) -> Masker:
        try:
            named = self._named(namespace, flow_id, revision)
        except _NotStored:
            return Masker(values_named(self._secrets, None))
        values = values_named(self._secrets, named.secrets)
        if named.inputs and inputs:
            values += revealed(named.inputs, inputs, self._decrypt)[1]
        return Masker(values)

    def _read(self, namespace: str, flow_id: str, revision: int) -> _Named:
        with self._database.read() as connection:
            record = queries.flow(connection, namespace, flow_id, revision, deleted=True)
        if record is None:
            raise _NotStored
        source = record.stored.source
        inputs: tuple[Input, ...] = ()
        if "SECRET" in source:
            flow = parse_flow(source, strict=False, namespace=namespace).effective
            inputs = () if flow is None else tuple(flow.inputs)
            inputs = inputs if any(one.type == "SECRET" for one in inputs) else ()
        return _Named(secrets=named_in(source, self._defaults), inputs=inputs)


def _veiled_run(run: TaskRun, masker: Masker) -> TaskRun:
    value = run.value and masker.mask(run.value)
    outputs = _veiled(run.outputs, masker)
    return replace(run, outputs=outputs, value=value) if outputs or value else run


def _veiled(values: Mapping[str, object] | None, masker: Masker) -> Mapping[str, object] | None:
    return values and cast("Mapping[str, object]", masker.deep(dict(values)))
