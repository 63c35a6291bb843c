"""Tasks that write, fetch and purge log lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from penstock_runner.flow.model import Level
from penstock_runner.tasks.api import Outputs, RunContext, TaskFailed, TaskProperties, task
from penstock_runner.tasks.stored import put_items


@task("io.kestra.plugin.core.log.Log", inline=True)
class Log(TaskProperties):
    """Write one log line for each text of `message`."""

    message: object
    level: Level = Level.INFO

    def run(self, ctx: RunContext) -> Outputs:
        """Log the message or messages."""
        for line in self._lines():
            ctx.log(self.level, line)
        return {}

    def _lines(self) -> list[str]:
        match self.message:
            case str():
                return [self.message]
            case list() | tuple():
                return [str(line) for line in cast("Sequence[object]", self.message)]
            case bool():
                return ["true" if self.message else "false"]
            case int() | float():
                return [str(self.message)]
            case _:
                raise TaskFailed(f"Invalid message type '{type(self.message).__name__}'")


@task("io.kestra.plugin.core.log.Fetch")
class Fetch(TaskProperties):
    """Store the log lines of an execution as a file of items."""

    namespace: str | None = None
    flow_id: str | None = None
    execution_id: str | None = None
    tasks_id: tuple[str, ...] | None = None
    level: Level = Level.INFO

    def run(self, ctx: RunContext) -> Outputs:
        """Read the lines and store them."""
        execution_id = chosen_execution(ctx, self.namespace, self.flow_id, self.execution_id)
        lines = ctx.call(
            "logs.fetch",
            namespace=self.namespace,
            flow_id=self.flow_id,
            execution_id=execution_id,
            task_ids=list(self.tasks_id) if self.tasks_id is not None else None,
            level=self.level.value,
        )
        uri, size = put_items(ctx, lines)
        return {"uri": uri, "size": size}


@task("io.kestra.plugin.core.log.PurgeLogs")
class PurgeLogs(TaskProperties):
    """Delete old log lines; its output `count` is how many."""

    namespace: str | None = None
    flow_id: str | None = None
    log_levels: tuple[Level, ...] | None = None
    start_date: str | None = None
    end_date: str

    def run(self, ctx: RunContext) -> Outputs:
        """Have the lines deleted."""
        count = ctx.call(
            "logs.purge",
            namespace=self.namespace,
            flow_id=self.flow_id,
            levels=[level.value for level in self.log_levels] if self.log_levels else None,
            start_date=self.start_date,
            end_date=self.end_date,
        )
        return {"count": count}


def chosen_execution(
    ctx: RunContext, namespace: str | None, flow_id: str | None, execution_id: str | None
) -> str:
    """The execution that a task is about: the one it names, or its own."""
    if execution_id is None:
        if namespace is not None or flow_id is not None:
            raise TaskFailed("`namespace` and `flowId` must be left out when `executionId` is")
        return ctx.execution_id
    if (namespace is None) != (flow_id is None):
        raise TaskFailed("Both `namespace` and `flowId` are needed with `executionId`, or none")
    return execution_id
