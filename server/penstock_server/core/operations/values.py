"""Operations on the key-value store, for the API and for tasks that run elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penstock_runner.executor.key_calls import plain_entry, purged
from penstock_runner.executor.store import KvWrite
from penstock_runner.expressions.errors import KeyExpired
from penstock_runner.flow import durations
from penstock_runner.tasks import keyvalues
from penstock_runner.tasks.api import TaskFailed
from penstock_runner.tasks.purging import Purge
from penstock_server.core.room import Answer, Operation, Room

Arguments = Mapping[str, Any]


def get(room: Room, a: Arguments, answer: Answer) -> None:
    """One entry, with its type; None when absent."""
    _allowed(room, a)
    entry = room.executor.values.get(a["namespace"], keyvalues.check_key(a["key"]))
    if entry is not None and keyvalues.expired(entry, room.clock.now()):
        answer.fail(KeyExpired())
        return
    answer.ok(None if entry is None else plain_entry(entry))


def put(room: Room, a: Arguments, answer: Answer) -> None:
    """Write one value."""
    _allowed(room, a)
    namespace, key = a["namespace"], a["key"]
    now = room.clock.now()
    previous = room.executor.values.get(namespace, key)
    if previous is not None and keyvalues.expired(previous, now):
        previous = None
    if previous is not None and a.get("overwrite") is False:
        answer.fail(keyvalues.KeyExists(key))
        return
    ttl = a.get("ttl")
    try:
        entry = keyvalues.make_entry(
            key,
            a["value"],
            a.get("kind"),
            None if ttl is None else durations.parse(ttl),
            now,
            previous,
        )
    except TaskFailed as bad:
        answer.refuse(str(bad))
        return
    room.executor.change_values(
        [KvWrite(namespace=namespace, key=key, entry=entry)], lambda error: _end(answer, error)
    )


def delete(room: Room, a: Arguments, answer: Answer) -> None:
    """Delete one key; whether there was something to delete."""
    _allowed(room, a)
    namespace, key = a["namespace"], a["key"]
    if room.executor.values.get(namespace, key) is None:
        answer.ok(False)  # noqa: FBT003 - the value of the answer
        return
    change = KvWrite(namespace=namespace, key=key, entry=None)
    room.executor.change_values([change], lambda error: _end(answer, error, value=True))


def keys(room: Room, a: Arguments, answer: Answer) -> None:
    """The keys of a namespace that have not expired."""
    _allowed(room, a)
    now = room.clock.now()
    prefix = a.get("prefix") or ""
    entries = room.executor.values.list(a["namespace"])
    answer.ok(
        [e.key for e in entries if e.key.startswith(prefix) and not keyvalues.expired(e, now)]
    )


def purge(room: Room, a: Arguments, answer: Answer) -> None:
    """Delete the keys that a purge means; how many there were."""
    changes = purged(room.executor, Purge.from_wire(a["purge"]), room.clock.now())
    room.executor.change_values(changes, lambda error: _end(answer, error, value=len(changes)))


def _allowed(room: Room, a: Arguments) -> None:
    """A task may use the keys of its own namespace, of those above, and of those that exist."""
    caller = a.get("_caller")
    if caller is not None:
        room.executor.values.check(a["namespace"], caller)


def _end(answer: Answer, error: Exception | None, *, value: Any = None) -> None:
    if error is None:
        answer.ok(value)
    else:
        answer.fail(error)


OPERATIONS: Mapping[str, Operation] = {
    "kv.get": get,
    "kv.put": put,
    "kv.delete": delete,
    "kv.keys": keys,
    "kv.purge": purge,
}
