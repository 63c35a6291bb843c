"""The key-value store as the executor's step sees it.

What is stored, under what the batch will write.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from penstock_runner.executor.store import KvWrite, Store
from penstock_runner.expressions.errors import ExpressionFailed, KeyExpired, KeyMissing
from penstock_runner.tasks import keyvalues
from penstock_runner.tasks.api import KvEntry, TaskFailed


class Values:
    """Reads through the unwritten changes of the batch.

    A step that fails takes its changes back.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._changed: dict[tuple[str, str], KvEntry | None] = {}

    def get(self, namespace: str, key: str) -> KvEntry | None:
        """The entry, expired or not."""
        if (namespace, key) in self._changed:
            return self._changed[(namespace, key)]
        return self._store.kv_get(namespace, key)

    def namespaces(self) -> list[str]:
        """All namespaces that have flows or keys."""
        return sorted({*self._known("")})

    def list(self, namespace: str) -> list[KvEntry]:
        """All entries of a namespace, sorted by key."""
        found = {entry.key: entry for entry in self._store.kv_list(namespace)}
        for (changed_in, key), entry in self._changed.items():
            if changed_in != namespace:
                continue
            if entry is None:
                found.pop(key, None)
            else:
                found[key] = entry
        return [found[key] for key in sorted(found)]

    def check(self, namespace: str, caller: str) -> None:
        """Refuse, by `TaskFailed`, a namespace that is neither above `caller` nor there at all."""
        keyvalues.check_namespace(namespace, caller, self._known(namespace))

    def open(
        self,
        namespace: str,
        caller: str,
        now: Callable[[], datetime],
        write: Callable[[KvWrite], None],
    ) -> NamespaceValues:
        """The keys of a namespace for a flow of `caller`, when it may have them (`check`)."""
        self.check(namespace, caller)
        return NamespaceValues(self, namespace, now, write)

    def value(self, namespace: str, caller: str, key: str, now: datetime) -> object:
        """What `kv('key')` gives; raises `ExpressionFailed` of some kind."""
        try:
            self.check(namespace, caller)
        except TaskFailed as refused:
            raise ExpressionFailed(str(refused)) from None
        return value_of(self, namespace, key, now)

    def _known(self, top: str) -> Iterator[str]:
        """Asked for only when the names alone do not decide."""
        yield from (of for (of, _), entry in self._changed.items() if entry is not None)
        yield from self._store.namespaces(top)

    def change(self, write: KvWrite) -> None:
        """Remember a change until the batch is written."""
        self._changed[(write.namespace, write.key)] = write.entry

    def forget(self) -> None:
        """The batch is written, or dropped."""
        self._changed.clear()


class NamespaceValues:
    """The key-value store of one namespace, for a task in the executor's step."""

    def __init__(
        self,
        values: Values,
        namespace: str,
        now: Callable[[], datetime],
        write: Callable[[KvWrite], None],
    ) -> None:
        self._values = values
        self._namespace = namespace
        self._now = now
        self._write = write

    def get(self, key: str) -> KvEntry | None:
        """The entry, None when absent."""
        keyvalues.check_key(key)
        entry = self._values.get(self._namespace, key)
        if entry is not None and keyvalues.expired(entry, self._now()):
            self._write(KvWrite(namespace=self._namespace, key=key, entry=None))
            raise KeyExpired
        return entry

    def put(
        self,
        key: str,
        value: object,
        *,
        kind: str | None = None,
        ttl: timedelta | None = None,
        overwrite: bool = True,
    ) -> None:
        """Write a value."""
        now = self._now()
        previous = self._values.get(self._namespace, key)
        if previous is not None and keyvalues.expired(previous, now):
            previous = None
        if previous is not None and not overwrite:
            raise TaskFailed(
                f"Cannot set value for key '{key}'. Key already exists and "
                "`overwrite` is set to `false`."
            )
        entry = keyvalues.make_entry(key, value, kind, ttl, now, previous)
        self._write(KvWrite(namespace=self._namespace, key=key, entry=entry))

    def delete(self, key: str) -> bool:
        """Whether there was something to delete."""
        found = self._values.get(self._namespace, key) is not None
        if found:
            self._write(KvWrite(namespace=self._namespace, key=key, entry=None))
        return found

    def keys(self, prefix: str = "") -> list[str]:
        """Keys that have not expired."""
        now = self._now()
        entries = self._values.list(self._namespace)
        return [
            entry.key
            for entry in entries
            if entry.key.startswith(prefix) and not keyvalues.expired(entry, now)
        ]


def value_of(values: Values, namespace: str, key: str, now: datetime) -> object:
    """What `kv('key')` gives; raises `KeyMissing` or `KeyExpired`."""
    entry = values.get(namespace, key)
    if entry is None:
        raise KeyMissing(key, namespace)
    if keyvalues.expired(entry, now):
        raise KeyExpired
    return keyvalues.typed_value(entry)
