"""What a job asks core: the key-value store, and the operations that only core can do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from penstock_runner.expressions.errors import ExpressionFailed, KeyExpired, KeyMissing
from penstock_runner.tasks.api import KvEntry, TaskFailed
from penstock_runner.tasks.namespace_files import FileRow, row_from

Call = Callable[[str, Mapping[str, Any]], Any]


def answer_error(message: str, kind: str | None) -> Exception:
    """The exception that an answer with an error stands for."""
    match kind:
        case "KeyExpired":
            return KeyExpired()
        case "ExpressionFailed":
            return ExpressionFailed(message)
        case _:
            return TaskFailed(message)


class RemoteKeyValues:
    """The key-value store of one namespace, as `KeyValues` asks."""

    def __init__(self, call: Call, namespace: str) -> None:
        self._call = call
        self._namespace = namespace

    def get(self, key: str) -> KvEntry | None:
        """The entry, None when absent."""
        found = self._ask("kv.get", key=key)
        return None if found is None else _entry(found)

    def value(self, key: str) -> object:
        """The value for an expression; a missing key is an error."""
        from penstock_runner.tasks.keyvalues import typed_value

        entry = self.get(key)
        if entry is None:
            raise KeyMissing(key, self._namespace)
        return typed_value(entry)

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
        seconds = None if ttl is None else ttl.total_seconds()
        self._ask("kv.put", key=key, value=value, kind=kind, ttl=seconds, overwrite=overwrite)

    def delete(self, key: str) -> bool:
        """Whether there was something to delete."""
        return bool(self._ask("kv.delete", key=key))

    def keys(self, prefix: str = "") -> list[str]:
        """Keys that have not expired, sorted."""
        return list(self._ask("kv.keys", prefix=prefix))

    def _ask(self, operation: str, **arguments: Any) -> Any:
        return self._call(operation, {"namespace": self._namespace, **arguments})


class RemoteFiles:
    """The files of namespaces that came from Git; a job sees those of its first look at each."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._known: dict[str, Mapping[str, FileRow]] = {}

    def files(self, namespace: str) -> Mapping[str, FileRow]:
        """The rows of a namespace by path."""
        if namespace not in self._known:
            rows = [row_from(one) for one in self._call("files.list", {"namespace": namespace})]
            self._known[namespace] = {row.path: row for row in rows}
        return self._known[namespace]

    def release(self, namespace: str, path: str) -> None:
        """Forget a row that no source manages."""
        self._call("files.release", {"namespace": namespace, "path": path})
        self._known.pop(namespace, None)


def _entry(found: Mapping[str, Any] | KvEntry) -> KvEntry:
    if isinstance(found, KvEntry):
        return found
    return KvEntry(
        key=found["key"],
        value=found["value"],
        type=found["type"],
        created=_instant(found["created"]),
        updated=_instant(found["updated"]),
        expires=_instant(found["expires"]) if found.get("expires") else None,
    )


def _instant(value: str | datetime) -> datetime:
    return value if isinstance(value, datetime) else datetime.fromisoformat(value)
