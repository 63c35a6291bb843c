"""Tasks that keep a small map between executions (the older store, kept in the key-value store)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from penstock_runner.tasks import places
from penstock_runner.tasks.api import Outputs, RunContext, TaskFailed, TaskProperties, task

STATE = "tasks-states"


class _State(TaskProperties):
    name: str = "default"
    by_namespace: Annotated[bool, Field(alias="namespace")] = False
    taskrun_value: bool = True

    def _key(self, ctx: RunContext) -> str:
        run = ctx.variables.get("taskrun")
        value = run.get("value") if self.taskrun_value and isinstance(run, Mapping) else None
        flow_id = None if self.by_namespace else ctx.flow_id
        return places.state_key(flow_id, STATE, self.name, None if value is None else str(value))

    def _read(self, ctx: RunContext) -> Mapping[str, object] | None:
        entry = ctx.kv().get(self._key(ctx))
        if entry is None:
            return None
        return entry.value if isinstance(entry.value, Mapping) else {}

    def _missing(self, ctx: RunContext) -> TaskFailed:
        return TaskFailed(f"Unable to find the state file '{self._key(ctx)}'")


@task("io.kestra.plugin.core.state.Set")
class Set(_State):
    """Merge a map into the stored one."""

    data: Mapping[str, object] | None = None

    def run(self, ctx: RunContext) -> Outputs:
        """Merge and store."""
        data = merged(self._read(ctx) or {}, self.data or {})
        ctx.kv().put(self._key(ctx), data)
        return {"count": len(data), "key": self._key(ctx)}


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
        deleted = ctx.kv().delete(self._key(ctx))
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
