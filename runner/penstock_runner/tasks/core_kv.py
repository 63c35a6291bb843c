"""Tasks that read and write the key-value store of a namespace."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field

from penstock_runner.flow.model import Level
from penstock_runner.tasks.api import (
    KeyValues,
    Outputs,
    Properties,
    RunContext,
    TaskFailed,
    TaskProperties,
    Typed,
    task,
)
from penstock_runner.tasks.keyvalues import check_key
from penstock_runner.tasks.purging import BOTH, Purge

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


class PurgeBehavior(Properties):
    """Which of the keys that are meant are deleted."""

    type: Literal["key", "version"] = "key"
    expired_only: bool = True
    before: str | None = None
    keep_amount: int | None = Field(default=None, ge=1)


@task("io.kestra.plugin.core.kv.PurgeKV")
class PurgeKV(TaskProperties):
    """Delete keys of many namespaces, expired ones unless told otherwise; `size` counts them.

    A key has one version here, so that a purge of older versions finds none.
    """

    namespaces: tuple[str, ...] = ()
    namespace_pattern: str | None = None
    include_child_namespaces: bool = True
    key_pattern: str | None = None
    expired_only: bool | None = None
    behavior: PurgeBehavior = PurgeBehavior()

    def run(self, ctx: RunContext) -> Outputs:
        """Delete the keys."""
        if self.namespaces and self.namespace_pattern:
            raise TaskFailed(BOTH)
        only = self.behavior.expired_only if self.expired_only is None else self.expired_only
        if self.behavior.type == "version" and self.expired_only is None:
            ctx.log(Level.INFO, "A key has one version here: there is no older one to purge")
            return {"size": 0}
        purge = Purge(
            namespaces=self.namespaces,
            namespace_pattern=self.namespace_pattern,
            children=self.include_child_namespaces,
            key_pattern=self.key_pattern,
            expired_only=only,
        )
        return {"size": ctx.call("kv.purge", purge=purge.to_wire())}


def _missing(key: str, namespace: str) -> TaskFailed:
    return TaskFailed(
        f"No value found for key '{key}' in namespace '{namespace}' "
        "and `errorOnMissing` is set to true"
    )
