"""What the flows of a commit name and nobody has: unknown subflows, cycles, unknown secrets.

The child of a look finds the names, since it reads the files; whether they exist is decided in
core, over all flows of the commit and of the store, also for files that have not changed: another
file may have taken away what they call.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

from penstock_runner.flow.faults import MAX_FAULTS, Fault, Severity
from penstock_runner.flow.parse import Parsed, parse_flow
from penstock_runner.flow.references import FLOW, SECRET
from penstock_runner.flow.suggestions import did_you_mean
from penstock_server.store import flows
from penstock_server.store.flow_batches import lives
from penstock_server.sync.named import named_in, reference_data
from penstock_server.sync.plan import Key

_READ = 30
_AT_ONCE = 250
_COMPARED = 500
Read = Callable[[], AbstractContextManager[Any]]
HasSecret = Callable[[str, str], bool]
"""Whether there is a secret of this name that flows of this namespace may read."""
Ref = Mapping[str, Any]


def any_secret(_name: str, _namespace: str) -> bool:
    """Where secrets are not known, none is missed."""
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """A flow with what it names outside of itself."""

    key: Key
    path: str
    refs: Sequence[Ref]

    @property
    def calls(self) -> list[Key]:
        """The flows that it calls."""
        return [(one["namespace"], one["name"]) for one in self.refs if one["kind"] == FLOW]


def doubts(
    read: Read,
    callers: Sequence[Caller],
    has_secret: HasSecret,
    *,
    coming: Collection[Key],
) -> list[Fault]:
    """Warnings about names that nothing has, though the flows that are `coming` be stored."""
    work = doubting(read, callers, has_secret, coming=coming, gone=())
    while True:
        try:
            next(work)
        except StopIteration as end:
            found: list[Fault] = end.value
            return found


def doubting(
    read: Read,
    callers: Sequence[Caller],
    has_secret: HasSecret,
    *,
    coming: Collection[Key],
    gone: Collection[Key],
) -> Generator[None, None, list[Fault]]:
    """The same with pauses in which others go on; what is `gone` will not be stored any more."""
    gone = set(gone)
    there = set(coming) - gone
    calls: dict[Key, list[Key]] = {}
    for some in _parts(callers):
        calls |= {caller.key: caller.calls for caller in some}
        yield
    asked = {key for called in calls.values() for key in called} - there
    yield
    with read() as connection:
        there |= {one.name for one in lives(connection, names=asked) if not one.deleted} - gone
    yield
    found: list[Fault] = []
    known: dict[tuple[str, str], bool] = {}
    for some in _parts(callers):
        for caller in some if len(found) < MAX_FAULTS else ():
            found += _unknown(caller, there)
            found += _secrets(caller, has_secret, known)
        yield
    others = yield from _others(read, calls, there)
    loops = yield from _in_loops({**others, **calls})
    for some in _parts(callers):
        for caller in some if loops and len(found) < MAX_FAULTS else ():
            found += _cycles(caller, loops)
        yield
    for key in list(gone)[:_READ]:
        with read() as connection:
            found += _left_behind(connection, key, calls)
        yield
    return found[:MAX_FAULTS]


def _parts(callers: Sequence[Caller]) -> Iterator[Sequence[Caller]]:
    return (callers[start : start + _AT_ONCE] for start in range(0, len(callers), _AT_ONCE))


def _unknown(caller: Caller, there: Collection[Key]) -> Iterator[Fault]:
    for one in caller.refs:
        key = (one["namespace"], one["name"])
        if one["kind"] != FLOW or key in there or key == caller.key:
            continue
        known = [name for namespace, name in there if namespace == key[0]]
        fault = _fault("UNKNOWN_SUBFLOW", f"there is no flow {key[0]}.{key[1]}", caller, one)
        hint = did_you_mean(key[1][:60], known) if len(known) <= _COMPARED else None
        yield replace(fault, hint=hint)


def _secrets(
    caller: Caller, has_secret: HasSecret, known: dict[tuple[str, str], bool]
) -> Iterator[Fault]:
    for one in caller.refs:
        if one["kind"] != SECRET:
            continue
        name = (one["name"], one["namespace"])
        if name not in known:
            known[name] = has_secret(*name)
        if not known[name]:
            message = f"there is no secret {one['name']!r} that {one['namespace']} may read"
            yield _fault("UNKNOWN_SECRET", message, caller, one)


def _others(
    read: Read, calls: Mapping[Key, list[Key]], there: Collection[Key]
) -> Generator[None, None, dict[Key, list[Key]]]:
    """What flows outside of the commit call, as far as flows of the commit reach them."""
    waiting = [key for called in calls.values() for key in called if key not in calls]
    found: dict[Key, list[Key]] = {}
    while waiting and len(found) < _READ:
        key = waiting.pop()
        if key in found or key in calls or key not in there:
            continue
        with read() as connection:
            found[key] = _stored(connection, key).calls
        waiting += found[key]
        yield
    return found


def _cycles(caller: Caller, loops: Mapping[Key, int]) -> Iterator[Fault]:
    """A warning at each call by which a flow of the commit comes back to itself."""
    for one in caller.refs:
        key = (one["namespace"], one["name"])
        # A flow that calls itself is an error of its own file already.
        together = key in loops and loops[key] == loops.get(caller.key)
        if one["kind"] == FLOW and key != caller.key and together:
            message = f"{'.'.join(key)} calls back to {'.'.join(caller.key)}"
            yield _fault("SUBFLOW_CYCLE", message, caller, one)


def _in_loops(calls: Mapping[Key, list[Key]]) -> Generator[None, None, dict[Key, int]]:
    """Each flow that can come back to itself through others, with the number of its loop.

    Strongly connected components by Tarjan's way, without recursion.
    """
    index: dict[Key, int] = {}
    low: dict[Key, int] = {}
    open_: dict[Key, None] = {}
    loops: dict[Key, int] = {}
    work: list[tuple[Key, Iterator[Key]]] = []

    def enter(key: Key) -> None:
        index[key] = low[key] = len(index)
        open_[key] = None
        work.append((key, iter(calls[key])))

    for root in calls:
        if root in index:
            continue
        enter(root)
        while work:
            key, rest = work[-1]
            below = next((one for one in rest if one in calls), None)
            if below is None:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[key])
                if low[key] == index[key]:
                    _close(open_, key, loops)
            elif below not in index:
                enter(below)
                if len(index) % _AT_ONCE == 0:
                    yield
            elif below in open_:
                low[key] = min(low[key], index[below])
    return loops


def _close(open_: dict[Key, None], root: Key, loops: dict[Key, int]) -> None:
    """Take a finished component off; of more than one flow it is a loop."""
    members: list[Key] = []
    while not members or members[-1] != root:
        members.append(open_.popitem()[0])
    if len(members) > 1:
        loops.update(dict.fromkeys(members, len(loops) + 1))


def _left_behind(connection: Any, gone: Key, known: Collection[Key]) -> Iterator[Fault]:
    """Flows of others that call a flow which the plan deletes."""
    for key in flows.mentioning(connection, gone, limit=_READ):
        if key in known:
            continue
        caller = _stored(connection, key)
        for one in caller.refs:
            if one["kind"] == FLOW and (one["namespace"], one["name"]) == gone:
                message = f"{'.'.join(key)} calls {'.'.join(gone)}, which is deleted"
                yield replace(_fault("UNKNOWN_SUBFLOW", message, caller, one), path="")


def _stored(connection: Any, key: Key) -> Caller:
    stored = flows.revision(connection, *key)
    return caller_of(parse_flow(stored.source if stored is not None else "", strict=False), key)


def caller_of(parsed: Parsed, key: Key) -> Caller:
    """A flow that was just read."""
    refs = [reference_data(one) for one in named_in(parsed, key[0])]
    return Caller(key=key, path=parsed.document.path, refs=refs)


def _fault(code: str, message: str, caller: Caller, one: Ref) -> Fault:
    return Fault(
        code=code,
        message=message,
        path=one["path"] or caller.path,
        line=one["line"],
        column=one["column"],
        pointer=one["pointer"],
        flow=".".join(caller.key),
        severity=Severity.WARNING,
    )
