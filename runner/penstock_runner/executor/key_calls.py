"""What a job asks of the key-value store, answered at once by an executor in the same process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from penstock_runner.executor.executor import Executor
from penstock_runner.executor.store import KvWrite
from penstock_runner.executor.values import NamespaceValues
from penstock_runner.flow import durations
from penstock_runner.tasks.api import KvEntry, TaskFailed
from penstock_runner.tasks.purging import Purge


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyCalls:
    """Answers the operations `kv.*`."""

    executor: Executor
    now: Callable[[], datetime]

    def answer(self, caller: str, operation: str, a: Mapping[str, Any]) -> Any:
        """The answer to a job of a flow of the namespace `caller`."""
        if operation == "kv.purge":
            return self._purge(Purge.from_wire(a["purge"]))
        namespace = str(a.get("namespace") or caller)
        values = self.executor.values.open(namespace, caller, self.now, self._write)
        return self._answered(values, operation, a)

    def _answered(self, values: NamespaceValues, operation: str, a: Mapping[str, Any]) -> Any:
        match operation:
            case "kv.get":
                entry = values.get(a["key"])
                return None if entry is None else plain_entry(entry)
            case "kv.put":
                ttl = a.get("ttl")
                values.put(
                    a["key"],
                    a["value"],
                    kind=a.get("kind"),
                    ttl=None if ttl is None else durations.parse(ttl),
                    overwrite=a.get("overwrite", True),
                )
                self.executor.drain()
                return None
            case "kv.delete":
                found = values.delete(a["key"])
                self.executor.drain()
                return found
            case "kv.keys":
                return values.keys(a.get("prefix") or "")
            case _:
                raise TaskFailed(f"there is no operation {operation}")

    def _purge(self, purge: Purge) -> int:
        changes = purged(self.executor, purge, self.now())
        for change in changes:
            self._write(change)
        self.executor.drain()
        return len(changes)

    def _write(self, change: KvWrite) -> None:
        self.executor.change_values([change], lambda _error: None)


def purged(executor: Executor, purge: Purge, now: datetime) -> list[KvWrite]:
    """The changes that a purge means."""
    values = executor.values
    return [
        KvWrite(namespace=namespace, key=key, entry=None)
        for namespace in purge.among(values.namespaces())
        for key in purge.keys(values.list(namespace), now)
    ]


def plain_entry(entry: KvEntry) -> dict[str, Any]:
    """An entry as plain data, for a message."""
    return {
        "key": entry.key,
        "type": entry.type,
        "value": entry.value,
        "created": entry.created.isoformat(),
        "updated": entry.updated.isoformat(),
        "expires": entry.expires.isoformat() if entry.expires else None,
    }
