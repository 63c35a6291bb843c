"""The contract of polling triggers: a runner looks at the world, the core starts what it found.

A polling trigger is a class of properties like a task, registered with `kind="polling"`:

- `evaluate(ctx)` looks once, in a worker of a runner, as often as `interval` says. It gives the
  variables `trigger.*` of the execution to start, or None when there is nothing. It leaves the
  world as it is, since the execution may never be: the trigger can be switched off meanwhile.
- `taken(ctx, found)` is called with what `evaluate` gave once the execution is stored, if the class
  has it: the moment to move a file away, to acknowledge a message, to remember a position. It may
  be called more than once for one finding, and nothing new is looked for before it has ended well.
- Files that were stored for an execution that never came, because a condition does not hold, are
  removed again.

`ctx` is that of tasks. `ctx.execution_id` is the execution that is started if something is found,
so files that are put below `place(ctx, name)` belong to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from penstock_runner.flow.durations import BadDuration, parse
from penstock_runner.tasks import places
from penstock_runner.tasks.api import Outputs, RunContext, TaskProperties

FOUND: Final = "found"
WORD: Final = "word"
TAKEN, DROPPED = "taken", "dropped"
INTERVAL: Final = timedelta(seconds=60)
SHORTEST: Final = timedelta(seconds=1)


class PollingTrigger(TaskProperties):
    """What all polling triggers can do."""

    interval: timedelta = INTERVAL
    stop_on_failure: bool = False
    fail_on_trigger_error: bool = False
    allow_concurrent: bool = False

    def evaluate(self, ctx: RunContext) -> Outputs | None:
        """Look once; the variables of the execution to start, None for none."""
        raise NotImplementedError

    def taken(self, ctx: RunContext, found: Mapping[str, Any]) -> None:
        """The execution of what was found is stored."""

    def run(self, ctx: RunContext) -> Outputs:
        """Look once, as a job."""
        return {FOUND: self.evaluate(ctx)}


def hear(trigger: PollingTrigger, ctx: RunContext, word: Mapping[str, Any]) -> None:
    """Do what is to be done because a finding was taken, or was of no use."""
    if word["is"] == TAKEN:
        trigger.taken(ctx, word[FOUND])
    else:
        mine = places.execution_prefix(ctx.namespace, ctx.flow_id, ctx.execution_id)
        ctx.storage.delete_below(mine)


def must_be_told(cls: type[Any]) -> bool:
    """Whether a trigger of this class has something to do once its finding was taken."""
    return getattr(cls, "taken", None) is not PollingTrigger.taken


def interval_of(cls: type[Any], written: object) -> timedelta:
    """The time between two looks, as written or as the class has it; at least a second."""
    fields = getattr(cls, "model_fields", {})
    found = fields["interval"].default if "interval" in fields else INTERVAL
    if written is not None:
        try:
            found = parse(written)
        except BadDuration:
            found = INTERVAL
    return max(found, SHORTEST)


def place(ctx: RunContext, name: str) -> str:
    """The address for a file that a trigger brings."""
    return places.trigger_file(ctx.namespace, ctx.flow_id, ctx.execution_id, ctx.task_id, name)
