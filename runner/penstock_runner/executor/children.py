"""What passes between a task run and the executions that it starts: batches in, outputs back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penstock_runner.engine import commands as c
from penstock_runner.engine.batches import BASE
from penstock_runner.engine.state import RunKey
from penstock_runner.executor.context import taskrun_id
from penstock_runner.executor.inline import InlineRender
from penstock_runner.executor.live import Live, masked
from penstock_runner.expressions.errors import ExpressionFailed, NotInline
from penstock_runner.tasks import places
from penstock_runner.tasks.flow_items import batch_outputs
from penstock_runner.tasks.items import write_item
from penstock_runner.tasks.storage import Storage

LARGEST_LIST = 64 << 20
# What a parent wants of a child that declares no outputs; noted on the child.
WANTED = "parentOutputs"


def listed_batches(storage: Storage, splits: object) -> list[str]:
    """The addresses of the batches, as the file of a split lists them."""
    if not splits:
        return []
    return storage.read_bytes(str(splits), LARGEST_LIST).decode().split()


def outputs_place(live: Live, key: RunKey) -> str:
    """Where the outputs of the children of a task run are stored."""
    task_id = live.fold.run(key).task_id
    name = (live.base.namespace, live.base.flow_id, live.id)
    return places.task_prefix(*name, task_id, taskrun_id(live.id, key))


def batch_variables(live: Live, command: c.StartSubflow) -> dict[str, Any]:
    """The variables that the inputs of one child are rendered with."""
    variables = live.variables(command.key)
    own = {name: command.request.get(name) for name in ("items", "iteration")}
    variables["taskrun"] = {**variables["taskrun"], **own}
    return variables


def keep_outputs(
    storage: Storage, live: Live, key: RunKey, index: int, outputs: Mapping[str, Any] | None
) -> None:
    """Store the outputs of one of many children, for the merge."""
    run = live.fold.runs.get(key)
    if not outputs or run is None or run.outputs is None or BASE not in run.outputs:
        return
    storage.put_bytes(batch_outputs(str(run.outputs[BASE]), index), write_item(outputs))


def wanted_outputs(live: Live, render: InlineRender) -> tuple[Mapping[str, Any] | None, str | None]:
    """What an ended execution gives to its parent, or why it cannot."""
    wanted = live.base.facts.get(WANTED)
    declared = live.loaded.flow.outputs
    if declared or not isinstance(wanted, Mapping):
        return live.execution().outputs, None
    try:
        return render.deep(dict(wanted)), None  # type: ignore[return-value]
    except NotInline as failed:
        return None, f"{failed}; let the flow {live.base.flow_id} declare it in `outputs`"
    except ExpressionFailed as failed:
        return None, masked(str(failed), live.masks)
