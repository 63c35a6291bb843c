"""How tasks put their results into the internal storage, and read what others have put there."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterable
from pathlib import PurePosixPath
from typing import BinaryIO, TypeVar, cast

from penstock_runner.tasks import places
from penstock_runner.tasks.api import RunContext, TaskFailed
from penstock_runner.tasks.items import write_items
from penstock_runner.tasks.storage import BadAddress, FileMissing

IN_MEMORY = 1 << 20

T = TypeVar("T")


def place(ctx: RunContext, name: str) -> str:
    """The address for a file of this task run; attempts after the first do not overwrite it."""
    attempt = "" if ctx.attempt <= 1 else f"{ctx.attempt}-"
    return places.task_file(
        ctx.namespace, ctx.flow_id, ctx.execution_id, ctx.task_id, ctx.taskrun_id, attempt + name
    )


def put_items(ctx: RunContext, items: Iterable[object], name: str = "items.ion") -> tuple[str, int]:
    """Store values one a line; the address and how many there were."""
    return put_written(ctx, name, lambda out: write_items(out, items))


def put_written(ctx: RunContext, name: str, write: Callable[[BinaryIO], T]) -> tuple[str, T]:
    """Store what `write` writes; the address and what `write` gave."""
    with tempfile.SpooledTemporaryFile(max_size=IN_MEMORY) as spool:
        out = cast("BinaryIO", spool)
        result = write(out)
        out.seek(0)
        return ctx.storage.put_stream(place(ctx, name), out), result


def opened(ctx: RunContext, uri: str) -> BinaryIO:
    """A stored file to read; what is wrong with its address is the task's failure."""
    try:
        return ctx.storage.open(uri)
    except (BadAddress, FileMissing) as error:
        raise TaskFailed(str(error)) from None


def extension(uri: str) -> str:
    """The extension of the last part of an address, from its first dot."""
    name = PurePosixPath(uri.partition("?")[0]).name
    return re.sub(r"[^\w.-]", "", name[name.index(".") :]) if "." in name else ""
