"""Tasks that keep a small map between executions (the older store, kept in the key-value store)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from penstock_runner.tasks.api import Outputs, RunContext, TaskFailed, TaskProperties, task
from penstock_runner.tasks.states import StateMissing, States

STATE = "tasks-states"


class _State(TaskProperties):
    name: str = "default"
    by_namespace: Annotated[bool, Field(alias="namespace")] = False
    taskrun_value: bool = True

    def _states(self, ctx: RunContext) -> States:
        return States(ctx.kv(), None if self.by_namespace else ctx.flow_id)

    def _parts(self, ctx: RunContext) -> tuple[str, str, str | None]:
        """Name of the store, of the state, and the value of the loop it is apart for."""
        run = ctx.variables.get("taskrun")
        value = run.get("value") if self.taskrun_value and isinstance(run, Mapping) else None
        return STATE, self.name, None if value is None else str(value)

    def _read(self, ctx: RunContext) -> Mapping[str, object] | None:
        try:
            stored = self._states(ctx).get(*self._parts(ctx))
        except StateMissing:
            return None
        return stored if isinstance(stored, Mapping) else {}

    def _missing(self, ctx: RunContext) -> TaskFailed:
        key = self._states(ctx).key(*self._parts(ctx))
        return TaskFailed(f"Unable to find the state file '{key}'")


@task("io.kestra.plugin.core.state.Set")
class Set(_State):
    """Merge a map into the stored one."""

    data: Mapping[str, object] | None = None

    def run(self, ctx: RunContext) -> Outputs:
        """Merge and store."""
        data = merged(self._read(ctx) or {}, self.data or {})
        key = self._states(ctx).put(*self._parts(ctx), data)
        return {"count": len(data), "key": key}


@task("io.kestra.plugin.core.state.Get")
class Get(_State):
    """Read the stored map; its outputs are `count` and `data`."""

    error_on_missing: bool = False

    def run(self, ctx: RunContext) -> Outputs:
        """Read the map."""
        data = self._read(ctx)
        if data is None and self.error_on_missing:
            raise self._missing(ctx)
        return {"count": len(data or {}), "data": dict(data or {})}


@task("io.kestra.plugin.core.state.Delete")
class Delete(_State):
    """Delete the stored map; its output `deleted` says whether there was one."""

    error_on_missing: bool = False

    def run(self, ctx: RunContext) -> Outputs:
        """Delete the map."""
        deleted = self._states(ctx).delete(*self._parts(ctx))
        if not deleted and self.error_on_missing:
            raise self._missing(ctx)
        return {"deleted": deleted}


def merged(below: Mapping[str, object], above: Mapping[str, object]) -> dict[str, object]:
    """The first map with the second laid over it, at any depth."""
    found = dict(below)
    for key, value in above.items():
        present = found.get(key)
        if isinstance(present, Mapping) and isinstance(value, Mapping):
            found[key] = merged(present, value)
        else:
            found[key] = value
    return found
