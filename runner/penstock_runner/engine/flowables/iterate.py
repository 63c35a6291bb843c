"""Loop: its tasks once for each item of a list, a map or a file, each time in a world of its own.

The engine puts a group around the tasks, the iteration, which has the `errors` and `finally` of the
loop. What its tasks give is seen inside of it; what the loop declares in `outputs` is kept.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from penstock_runner.engine.flowables.api import Choice, Flowable, Undecidable
from penstock_runner.engine.flowables.parallel import limit
from penstock_runner.engine.orders import InLanes, Order
from penstock_runner.engine.state import State
from penstock_runner.flow.model import Task

VALUES = "values"


def transmits(task: Task) -> bool:
    """Whether an iteration that fails ends the loop."""
    return task.properties.get("transmitFailed", True) is not False


def _asks(task: Task) -> Mapping[str, object]:
    return {VALUES: task.properties.get(VALUES)}


def _decide(task: Task, values: Mapping[str, object]) -> Choice:
    keys, items = _items(values.get(VALUES))
    from_file = values.get("file") is True
    kind = str(task.properties.get("fetchType") or "AUTO")
    stores = kind == "STORE" or (kind == "AUTO" and from_file)
    facts = {"keys": keys, "stores": stores or None}
    return Choice(
        values=items,
        outputs={"iterationCount": len(items)},
        facts={name: fact for name, fact in facts.items() if fact is not None},
    )


def _items(given: object) -> tuple[list[str] | None, tuple[str, ...]]:
    """The keys of a map (None of a list), and the items as texts."""
    found = _read(given) if isinstance(given, str) else given
    if isinstance(found, Mapping):
        return [str(key) for key in found], tuple(map(_text, found.values()))
    if isinstance(found, list | tuple):
        return None, tuple(map(_text, found))
    raise Undecidable(f"The values of a loop must be a list, a map or a file, but are `{given}`")


def _read(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError as wrong:
        raise Undecidable(f"The values of a loop are no JSON: {wrong}: `{text}`") from None


def _text(item: object) -> str:
    if isinstance(item, str):
        return item
    return json.dumps(item, ensure_ascii=False, separators=(",", ":"), default=str)


def _lanes(task: Task, ids: Sequence[str], values: int | None) -> Order:
    return InLanes(len(ids), values or 0, limit(task, "concurrencyLimit"))


def _result(task: Task, _choice: str | None, state: State) -> State:
    if state is State.FAILED and transmits(task):
        return state
    return state if state is State.KILLED else State.SUCCESS


def _goes_on(task: Task) -> bool:
    return not transmits(task)


LOOP = Flowable(
    purpose=VALUES,
    asks=_asks,
    decide=_decide,
    order=_lanes,
    result=_result,
    goes_on=_goes_on,
    collects=True,
    looked_up=True,
)
ITERATION = Flowable(collects=True)
