"""Tasks that read and write the key-value store of a namespace."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from penstock_runner.tasks.api import (
    KeyValues,
    Outputs,
    RunContext,
    TaskFailed,
    TaskProperties,
    Typed,
    task,
)
from penstock_runner.tasks.keyvalues import check_key

Kind = Literal["STRING", "NUMBER", "BOOLEAN", "DATETIME", "DATE", "DURATION", "JSON"]


@task("io.kestra.plugin.core.kv.Set", inline=True)
class Set(TaskProperties):
    """Write one value, forever or for a time."""

    key: str
    value: Annotated[object, Typed()]
    namespace: str | None = None
    overwrite: bool = True
    ttl: timedelta | None = None
    kv_type: Kind | None = None

    def run(self, ctx: RunContext) -> Outputs:
        """Write the value."""
        store = ctx.kv(self.namespace or ctx.namespace)
        key = check_key(self.key)
        store.put(key, self.value, kind=self.kv_type, ttl=self.ttl, overwrite=self.overwrite)
        return {}


@task("io.kestra.plugin.core.kv.Get", inline=True)
class Get(TaskProperties):
    """Read one value; its output is `value`."""

    key: str
    namespace: str | None = None
    error_on_missing: bool = False

    def run(self, ctx: RunContext) -> Outputs:
        """Read the value."""
        namespace = self.namespace or ctx.namespace
        entry = ctx.kv(namespace).get(check_key(self.key))
        if entry is None and self.error_on_missing:
            raise _missing(self.key, namespace)
        return {"value": None if entry is None else entry.value}


@task("io.kestra.plugin.core.kv.Delete", inline=True)
class Delete(TaskProperties):
    """Delete one value; its output `deleted` says whether there was one."""

    key: str
    namespace: str | None = None
    error_on_missing: bool = False

    def run(self, ctx: RunContext) -> Outputs:
        """Delete the value."""
        namespace = self.namespace or ctx.namespace
        deleted = ctx.kv(namespace).delete(check_key(self.key))
        if not deleted and self.error_on_missing:
            raise _missing(self.key, namespace)
        return {"deleted": deleted}


@task("io.kestra.plugin.core.kv.GetKeys", inline=True)
class GetKeys(TaskProperties):
    """List the keys that start with a prefix; its output is `keys`."""

    prefix: str | None = None
    namespace: str | None = None

    def run(self, ctx: RunContext) -> Outputs:
        """List the keys."""
        store: KeyValues = ctx.kv(self.namespace or ctx.namespace)
        return {"keys": store.keys(self.prefix or "")}


def _missing(key: str, namespace: str) -> TaskFailed:
    return TaskFailed(
        f"No value found for key '{key}' in namespace '{namespace}' "
        "and `errorOnMissing` is set to true"
    )
