"""ForEach, EachSequential and EachParallel: the children once for each value.

With a limit other than 1, ForEach runs values side by side and the tasks of one value in sequence;
EachParallel runs all tasks of all values at once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from penstock_runner.engine.flowables.api import Choice, Flowable, Undecidable, in_sequence
from penstock_runner.engine.flowables.parallel import at_once, limit
from penstock_runner.engine.orders import InLanes, Order
from penstock_runner.flow.model import Task


def _asks(task: Task) -> Mapping[str, object]:
    name = "values" if "values" in task.properties else "value"
    return {"values": task.properties.get(name)}


def _decide(_task: Task, values: Mapping[str, object]) -> Choice:
    return Choice(values=each_values(values.get("values")))


def each_values(rendered: object) -> tuple[str, ...]:
    """The distinct values of a loop, as texts, from a list or the text of a JSON array."""
    given: Sequence[object]
    if isinstance(rendered, str):
        given = _json_array(rendered)
        items = [_json_text(item) for item in given]
    elif isinstance(rendered, list | tuple):
        given = rendered
        items = [_item_text(item) for item in given]
    else:
        raise Undecidable(f"The values of a loop must be a list, but are `{rendered}`")
    if None in items:
        # Equal values count once, null among them.
        raise Undecidable(f"Found '1' null values on Each, with values={_shown(given)}")
    return tuple(dict.fromkeys(item for item in items if item is not None))


def _shown(value: object) -> str:
    """A value in the words that people know these messages in."""
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key}={_shown(item)}' for key, item in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_shown, value))}]"
    if isinstance(value, bool):
        return "true" if value else "false"
    return "null" if value is None else str(value)


def _json_array(text: str) -> list[object]:
    try:
        parsed = json.loads(text)
    except ValueError as wrong:
        raise Undecidable(f"The values of a loop are no JSON array: {wrong}: `{text}`") from None
    if not isinstance(parsed, list):
        raise Undecidable(f"The values of a loop must be a JSON array, but are `{text}`")
    return parsed


def _json_text(item: object) -> str | None:
    if item is None or isinstance(item, str):
        return item
    return json.dumps(item, ensure_ascii=False, separators=(",", ":"))


def _item_text(item: object) -> str | None:
    if isinstance(item, bool) or not (item is None or isinstance(item, str | int | Mapping)):
        raise Undecidable(f"Unknown value element type: {_kind(item)}")
    return _json_text(dict(item) if isinstance(item, Mapping) else item)


def _kind(item: object) -> str:
    if isinstance(item, bool):
        return "boolean"
    return "number" if isinstance(item, float) else "list"


def _lanes(task: Task, ids: Sequence[str], values: int | None) -> Order:
    side_by_side = limit(task, "concurrencyLimit", default=1)
    if side_by_side == 1:
        return in_sequence(task, ids, values)
    return InLanes(len(ids), values or 0, side_by_side)


FOR_EACH = Flowable(purpose="values", asks=_asks, decide=_decide, order=_lanes)
EACH_SEQUENTIAL = Flowable(purpose="values", asks=_asks, decide=_decide)
EACH_PARALLEL = Flowable(
    purpose="values", asks=_asks, decide=_decide, order=at_once, errors_order=at_once
)
