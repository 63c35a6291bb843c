"""Tasks about executions: their own (labels, variables, an early end) and others of the server."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Literal

from penstock_runner.engine.state import State
from penstock_runner.expressions.truth import truthy
from penstock_runner.flow.model import Level
from penstock_runner.tasks.api import (
    Outputs,
    Properties,
    Raw,
    RunContext,
    TaskFailed,
    TaskProperties,
    task,
)
from penstock_runner.tasks.core_log import chosen_execution


@task("io.kestra.plugin.core.execution.Labels", inline=True)
class Labels(TaskProperties):
    """Put labels on the running execution; one of the same key is replaced."""

    labels: object

    def run(self, ctx: RunContext) -> Outputs:
        """Set the labels."""
        labels = read_labels(self.labels)
        for key, value in labels.items():
            if key.startswith("system."):
                raise TaskFailed(
                    "System labels can only be set by Kestra itself, "
                    f"offending label: {key}={value}"
                )
        ctx.set_labels(labels)
        return {}


@task("io.kestra.plugin.core.execution.Fail", inline=True)
class Fail(TaskProperties):
    """Fail, always or when `condition` holds."""

    condition: str | None = None
    error_message: str = "Task failure"

    def run(self, ctx: RunContext) -> Outputs:
        """Fail if asked to."""
        if self.condition is None:
            raise TaskFailed(self.error_message)
        if truthy(self.condition):
            ctx.log(Level.ERROR, self.error_message)
            raise TaskFailed("Fail on a condition")
        return {}


@task("io.kestra.plugin.core.execution.Assert", inline=True)
class Assert(TaskProperties):
    """Fail unless every one of `conditions` holds."""

    conditions: Annotated[tuple[str, ...], Raw()]
    error_message: str | None = None

    def run(self, ctx: RunContext) -> Outputs:
        """Look at each condition and say which ones do not hold."""
        failed = [c for c in self.conditions if not truthy(ctx.render(c))]
        for condition in failed:
            ctx.log(Level.ERROR, f"Assertion `{condition}` failed!")
        ctx.metric("success", "counter", len(self.conditions) - len(failed))
        ctx.metric("failed", "counter", len(failed))
        if failed:
            said = f"\n{self.error_message}" if self.error_message else ""
            raise TaskFailed(f"{len(failed)} assertion(s) failed!{said}")
        return {}


@task("io.kestra.plugin.core.execution.Exit", inline=True)
class Exit(TaskProperties):
    """End the execution early, in a state of choice."""

    state: Literal["SUCCESS", "WARNING", "KILLED", "FAILED", "CANCELED", "CANCELLED"] = "SUCCESS"

    def run(self, ctx: RunContext) -> Outputs:
        """Ask for the end."""
        ctx.exit_execution(State.CANCELLED if self.state == "CANCELED" else State(self.state))
        return {}


@task("io.kestra.plugin.core.execution.SetVariables", inline=True)
class SetVariables(TaskProperties):
    """Change or add variables of the running execution."""

    variables: Mapping[str, object]
    overwrite: bool = True

    def run(self, ctx: RunContext) -> Outputs:
        """Set the variables."""
        taken = sorted(self.variables.keys() & _present(ctx).keys())
        if taken and not self.overwrite:
            raise TaskFailed(
                f"Cannot set the variable '{taken[0]}': "
                "it exists and `overwrite` is set to `false`."
            )
        ctx.set_variables(dict(self.variables))
        return {}


@task("io.kestra.plugin.core.execution.UnsetVariables", inline=True)
class UnsetVariables(TaskProperties):
    """Remove variables of the running execution."""

    variables: tuple[str, ...]
    ignore_missing: bool = False

    def run(self, ctx: RunContext) -> Outputs:
        """Remove the variables."""
        missing = [name for name in self.variables if name not in _present(ctx)]
        if missing and not self.ignore_missing:
            raise TaskFailed(
                f"Cannot unset the variable '{missing[0]}': there is none, "
                "and `ignoreMissing` is set to `false`."
            )
        ctx.set_variables(dict.fromkeys(self.variables))
        return {}


class CountedFlow(Properties):
    """A flow whose executions are counted."""

    namespace: str
    flow_id: str


@task("io.kestra.plugin.core.execution.Count")
class Count(TaskProperties):
    """Count executions of flows and keep those counts for which `expression` is true."""

    flows: tuple[CountedFlow, ...] | None = None
    namespaces: tuple[str, ...] | None = None
    states: tuple[State, ...] | None = None
    start_date: datetime
    end_date: datetime | None = None
    expression: Annotated[str, Raw()]

    def run(self, ctx: RunContext) -> Outputs:
        """Have the executions counted and test each count."""
        if self.flows is None and self.namespaces is None:
            raise TaskFailed("You must provide a list of flows or namespaces")
        counts: Sequence[Mapping[str, object]] = ctx.call(
            "executions.count",
            flows=[{"namespace": f.namespace, "flowId": f.flow_id} for f in self.flows or ()],
            namespaces=list(self.namespaces or ()),
            states=[state.value for state in self.states or ()],
            start_date=_iso(self.start_date),
            end_date=_iso(self.end_date),
        )
        kept = [c for c in counts if _true(ctx.render(self.expression, {"count": c["count"]}))]
        ctx.metric("counts", "counter", len(kept))
        return {"results": kept, "total": sum(int(str(c["count"])) for c in kept)}


@task("io.kestra.plugin.core.execution.PurgeExecutions")
class PurgeExecutions(TaskProperties):
    """Delete old executions with what belongs to them."""

    namespace: str | None = None
    flow_id: str | None = None
    start_date: str | None = None
    end_date: str
    states: tuple[State, ...] | None = None
    purge_execution: bool = True
    purge_log: bool = True
    purge_metric: bool = True
    purge_storage: bool = True

    def run(self, ctx: RunContext) -> Outputs:
        """Have them deleted."""
        counts: Mapping[str, object] = ctx.call(
            "executions.purge",
            namespace=self.namespace,
            flow_id=self.flow_id,
            start_date=self.start_date,
            end_date=self.end_date,
            states=[state.value for state in self.states] if self.states else None,
            executions=self.purge_execution,
            logs=self.purge_log,
            metrics=self.purge_metric,
            storage=self.purge_storage,
        )
        names = ("executionsCount", "logsCount", "metricsCount", "storagesCount")
        return {name: counts.get(name, 0) for name in names}


@task("io.kestra.plugin.core.execution.Resume")
class Resume(TaskProperties):
    """Resume a paused execution."""

    execution_id: str | None = None
    namespace: str | None = None
    flow_id: str | None = None
    inputs: Mapping[str, object] | None = None

    def run(self, ctx: RunContext) -> Outputs:
        """Have it resumed."""
        ctx.call(
            "executions.resume",
            execution_id=chosen_execution(ctx, self.namespace, self.flow_id, self.execution_id),
            namespace=self.namespace,
            flow_id=self.flow_id,
            inputs=dict(self.inputs or {}),
        )
        return {}


@task("io.kestra.plugin.core.execution.Kill")
class Kill(TaskProperties):
    """Kill an execution, and with `propagateKill` those that it has started."""

    execution_id: str
    propagate_kill: bool = True

    def run(self, ctx: RunContext) -> Outputs:
        """Have it killed."""
        ctx.call("executions.kill", execution_id=self.execution_id, propagate=self.propagate_kill)
        return {}


def read_labels(value: object) -> dict[str, str]:
    """Labels from a map, a list of `{key, value}`, or the JSON text of a map."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            raise TaskFailed("`labels` is a text, but not the JSON text of a map") from None
    match value:
        case Mapping():
            return {str(key): label_text(item) for key, item in value.items()}
        case list() | tuple():
            return {str(item["key"]): label_text(item["value"]) for item in value if _is_pair(item)}
        case _:
            raise TaskFailed(f"Unknown value type: {type(value).__name__}")


def label_text(value: object) -> str:
    """The text of a label's value."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int, float)):
        return str(value)
    raise TaskFailed(f"Unknown value type: {type(value).__name__}")


def _is_pair(item: object) -> bool:
    if isinstance(item, Mapping) and {"key", "value"} <= item.keys():
        return True
    raise TaskFailed("A label in a list needs `key` and `value`")


def _present(ctx: RunContext) -> Mapping[str, object]:
    present = ctx.variables.get("vars")
    return present if isinstance(present, Mapping) else {}


def _true(text: object) -> bool:
    return text is True or text == "true"


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
