"""Tasks that pick items out of item files, by an expression over each of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, BinaryIO, Literal

from pydantic import Field

from penstock_runner.expressions.errors import ExpressionFailed
from penstock_runner.expressions.truth import truthy
from penstock_runner.tasks.api import Outputs, Raw, RunContext, TaskFailed, TaskProperties, task
from penstock_runner.tasks.ion import BadItem
from penstock_runner.tasks.items import read_item
from penstock_runner.tasks.stored import extension, opened, put_written

Decision = Literal["FAIL", "INCLUDE", "EXCLUDE"]


@task("io.kestra.plugin.core.storage.DeduplicateItems")
class DeduplicateItems(TaskProperties):
    """Keep the last of the items with equal keys, in the order of the file."""

    from_: Annotated[str, Field(alias="from")]
    expr: Annotated[str, Raw()]

    def run(self, ctx: RunContext) -> Outputs:
        """Find the last item of each key, then write those."""
        last: dict[str, int] = {}
        total = 0
        for number, _, item in _lines(ctx, self.from_):
            last[str(ctx.render(self.expr, item))] = number
            total += 1
        kept = set(last.values())

        def write(out: BinaryIO) -> None:
            for number, line, _ in _lines(ctx, self.from_):
                if number in kept:
                    out.write(line + b"\n")

        uri, _ = put_written(ctx, f"items{extension(self.from_)}", write)
        return {
            "uri": uri,
            "numKeys": len(last),
            "processedItemsTotal": total,
            "droppedItemsTotal": total - len(last),
        }


@task("io.kestra.plugin.core.storage.FilterItems")
class FilterItems(TaskProperties):
    """Keep (or leave out) the items for which a condition holds."""

    from_: Annotated[str, Field(alias="from")]
    filter_condition: Annotated[str, Raw()]
    filter_type: Literal["INCLUDE", "EXCLUDE"] = "INCLUDE"
    error_or_null_behavior: Decision = "FAIL"

    def run(self, ctx: RunContext) -> Outputs:
        """Hold the condition against each item."""
        total = dropped = 0

        def write(out: BinaryIO) -> None:
            nonlocal total, dropped
            for _, line, item in _lines(ctx, self.from_):
                total += 1
                if self._keeps(ctx, item):
                    out.write(line + b"\n")
                else:
                    dropped += 1

        uri, _ = put_written(ctx, f"items{extension(self.from_)}", write)
        return {"uri": uri, "processedItemsTotal": total, "droppedItemsTotal": dropped}

    def _keeps(self, ctx: RunContext, item: Mapping[str, object]) -> bool:
        try:
            text = ctx.render(self.filter_condition, item)
        except ExpressionFailed as error:
            if self.error_or_null_behavior == "FAIL":
                raise TaskFailed(str(error)) from error
            return self.error_or_null_behavior == "INCLUDE"
        if text is None:
            if self.error_or_null_behavior == "FAIL":
                raise TaskFailed(
                    f"Expression `{self.filter_condition}` return `null` on item `{dict(item)}`"
                )
            return self.error_or_null_behavior == "INCLUDE"
        return truthy(str(text).strip()) == (self.filter_type == "INCLUDE")


def _lines(ctx: RunContext, uri: str) -> Iterator[tuple[int, bytes, Mapping[str, object]]]:
    """Each line of a file with its number and its item."""
    with opened(ctx, uri) as stream:
        for number, line in enumerate(stream, 1):
            text = line.strip()
            if not text:
                continue
            try:
                item = read_item(text, number)
            except BadItem as error:
                raise TaskFailed(f"{uri}: {error}") from None
            if not isinstance(item, Mapping):
                raise TaskFailed(f"{uri}: line {number} is not an item with fields")
            yield number, text, item
