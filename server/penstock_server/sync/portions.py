"""Many files are read by several processes at once: each takes a portion and answers plain data.

A portion that comes to nothing over there, for whatever reason, is worked on here: what is wrong
with it is then met where it can be told.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeVar

import orjson

from penstock_runner.git.apart import end_with_parent

T = TypeVar("T")
Work = Callable[[Sequence[T]], list[dict[str, Any]]]

# More processes than this take more memory than they save time.
MOST = 3
# With fewer things to do, a process costs more than it helps.
LEAST = 200


@dataclass(frozen=True, slots=True)
class _Helper:
    """A process with its portion."""

    pid: int
    answers: int

    def answer(self) -> list[dict[str, Any]] | None:
        """What it has found, once it has ended; None when it failed."""
        with os.fdopen(self.answers, "rb") as stream:
            text = stream.read()
        _, status = os.waitpid(self.pid, 0)
        found: list[dict[str, Any]] | None = orjson.loads(text) if status == 0 else None
        return found


def shared_out(
    items: Sequence[T], work: Work[T], *, begin: Callable[[], None], processors: int | None = None
) -> list[dict[str, Any]]:
    """What `work` makes of all items, in their order.

    Each other process calls `begin` first, to open anew what processes cannot share.
    """
    most = min(MOST, processors or len(os.sched_getaffinity(0)))
    count = min(most, len(items) // LEAST)
    if count < 2:
        return work(items)
    ends = [len(items) * n // count for n in range(count + 1)]
    portions = [items[start:end] for start, end in pairwise(ends)]
    helpers = [_helper(portion, work, begin) for portion in portions[1:]]
    done = work(portions[0])
    for portion, helper in zip(portions[1:], helpers, strict=True):
        found = helper.answer()
        done += work(portion) if found is None else found
    return done


def _helper(portion: Sequence[T], work: Work[T], begin: Callable[[], None]) -> _Helper:
    readable, writable = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(readable)
        _help(portion, work, begin, writable)
    os.close(writable)
    return _Helper(pid, readable)


def _help(portion: Sequence[T], work: Work[T], begin: Callable[[], None], writable: int) -> None:
    """Never returns: works, answers, ends."""
    status = 1
    try:
        end_with_parent()
        # What the parent has is looked at for garbage there; here it would only be copied.
        gc.freeze()
        begin()
        answer = orjson.dumps(work(portion))
        with os.fdopen(writable, "wb") as answers:
            answers.write(answer)
        status = 0
    except BaseException:  # noqa: BLE001, S110 - the parent does it again and meets it, too
        pass
    finally:
        os._exit(status)
