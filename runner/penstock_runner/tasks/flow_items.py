"""The runnable parts of ForEachItem: its file divided into batches, its children's outputs joined.

The engine makes these tasks itself, with the properties of the ForEachItem that they belong to.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO, cast

from penstock_runner.tasks.api import Outputs, RunContext, TaskFailed, TaskProperties, task
from penstock_runner.tasks.flowables import Batch
from penstock_runner.tasks.places import SCHEME
from penstock_runner.tasks.splitting import split
from penstock_runner.tasks.storage import FileMissing
from penstock_runner.tasks.stored import opened, place, put_written

BATCH_OUTPUTS = "outputs.ion"


@task("io.kestra.plugin.core.flow.ForEachItem$Split")
class Split(TaskProperties):
    """Divide the items into batches; its output `splits` is a file with their addresses."""

    items: str
    batch: Batch | None = None

    def run(self, ctx: RunContext) -> Outputs:
        """Store the batches, then the list of them."""
        if not self.items.startswith(SCHEME):
            raise TaskFailed(
                f"Unable to split the items from {self.items}, this is not an internal storage URI!"
            )
        batch = self.batch or Batch()

        def put(number: int, part: BinaryIO) -> str:
            return ctx.storage.put_stream(place(ctx, f"batch-{number:06}.txt"), part)

        with opened(ctx, self.items) as stream:
            uris = split(
                stream,
                put,
                size=batch.bytes,
                partitions=batch.partitions,
                rows=1 if batch.rows is None else batch.rows,
                separator=batch.separator,
            )
        lines = "".join(f"{uri}\n" for uri in uris).encode()
        return {"splits": ctx.storage.put_bytes(place(ctx, "splits.txt"), lines)}


@task("io.kestra.plugin.core.flow.ForEachItem$Merge")
class Merge(TaskProperties):
    """Join the outputs of all children into one file, if they have any."""

    def run(self, ctx: RunContext) -> Outputs:
        """Copy one file after the other, in the order of the batches."""
        items = _outputs_of_items(ctx)
        below = items.get("subflowOutputsBaseUri")
        count = int(str(items.get("numberOfBatches") or 0))
        if not below or not count:
            return {}

        def write(out: BinaryIO) -> int:
            return sum(
                _copied(ctx, batch_outputs(str(below), number), out) for number in range(count)
            )

        uri, found = put_written(ctx, "outputs.ion", write)
        if not found:
            ctx.storage.delete(uri)
            return {}
        return {"subflowOutputs": uri}


def batch_outputs(below: str, number: int) -> str:
    """The address of the outputs of one child, by the number of its batch."""
    return f"{below}/{number + 1}/{BATCH_OUTPUTS}"


def _copied(ctx: RunContext, uri: str, out: BinaryIO) -> bool:
    try:
        stream = ctx.storage.open(uri)
    except FileMissing:
        return False
    with stream:
        shutil.copyfileobj(stream, out)
    return True


def _outputs_of_items(ctx: RunContext) -> Mapping[str, Any]:
    """What the `_items` part beside this one has put out."""
    name = f"{ctx.task_id.removesuffix('_merge')}_items"
    found = _inside(ctx.variables.get("outputs"), name)
    parents = cast("Sequence[Any]", ctx.variables.get("parents") or ())
    for parent in reversed(parents):
        value = _inside(_inside(parent, "taskrun"), "value")
        if value is not None:
            found = _inside(found, str(value))
    return found if isinstance(found, Mapping) else {}


def _inside(value: object, name: str) -> Any:
    return value.get(name) if isinstance(value, Mapping) else None
