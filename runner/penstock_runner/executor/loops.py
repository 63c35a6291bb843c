"""What a Loop asks of the executor: items of a file, outputs by type, outputs in a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError

from penstock_runner.engine.flowables.iterate import VALUES
from penstock_runner.engine.flowables.table import ITERATION_KIND, LOOP_KIND
from penstock_runner.engine.iterations import COLLECT, KEEP, OUTPUTS, collected
from penstock_runner.engine.state import RunKey, TaskRun
from penstock_runner.executor.context import taskrun_id
from penstock_runner.executor.live import Live
from penstock_runner.expressions.errors import ExpressionFailed
from penstock_runner.flow.inputs import resolve_outputs
from penstock_runner.flow.model import Output
from penstock_runner.flow.values import BadValue
from penstock_runner.tasks import places
from penstock_runner.tasks.items import read_items, write_item
from penstock_runner.tasks.storage import SCHEME, Storage

LARGEST_FILE = 64 << 20


def completed(
    live: Live,
    key: RunKey,
    subject: str,
    values: dict[str, Any],
    storage: Storage,
    encrypt: Callable[[str], str] | None,
) -> dict[str, Any]:
    """The rendered values with what only the executor can add for a loop; others stay as they are.

    May raise what the storage raises, `BadValue` and `ExpressionFailed`.
    """
    task = live.task(key)
    given = values.get(VALUES)
    if subject == VALUES and task.kind == LOOP_KIND and isinstance(given, str):
        if given.startswith(SCHEME):
            return {VALUES: _items_of(storage, given), "file": True}
    elif subject == COLLECT and task.kind == ITERATION_KIND and values.get(OUTPUTS):
        return {**values, OUTPUTS: _typed(task.properties[OUTPUTS], values[OUTPUTS], encrypt)}
    elif subject == KEEP and task.kind == LOOP_KIND:
        return {"uri": _stored(live, live.fold.run(key), storage)}
    return values


def _items_of(storage: Storage, uri: str) -> list[object]:
    with storage.open(uri) as stream:
        if storage.facts(uri).size > LARGEST_FILE:
            raise ExpressionFailed(
                f"{uri} is too large for a loop: split it into files of at most 64 MiB"
            )
        return list(read_items(stream))


def _typed(
    declared: object, values: Mapping[str, object], encrypt: Callable[[str], str] | None
) -> Mapping[str, object]:
    try:
        outputs = [Output.model_validate({"type": "STRING", **one}) for one in declared]  # type: ignore[attr-defined]
    except ValidationError as wrong:
        raise BadValue(f"`outputs` of the loop cannot be read: {wrong}") from None
    return resolve_outputs(outputs, values, encrypt=encrypt)


def _stored(live: Live, loop: TaskRun, storage: Storage) -> str:
    """The address of a file with what each iteration gave, one a line."""
    runs = (run for run in live.fold.runs.values() if run.parent == loop.key)
    content = b"".join(write_item(one) for one in collected(loop, runs))
    place = places.task_prefix(
        live.base.namespace,
        live.base.flow_id,
        live.id,
        loop.task_id,
        taskrun_id(live.id, loop.key),
    )
    return storage.put_bytes(f"{place}/outputs.ion", content)
