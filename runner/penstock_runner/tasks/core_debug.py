"""Tasks that show values while a flow is written."""

from __future__ import annotations

from time import monotonic

from penstock_runner.flow.model import Level
from penstock_runner.tasks.api import Outputs, RunContext, TaskProperties, task


@task("io.kestra.plugin.core.debug.Return", inline=True)
class Return(TaskProperties):
    """Give the rendered text back as the output `value`, and log it at DEBUG."""

    format: str | None = None

    def run(self, ctx: RunContext) -> Outputs:
        """Log and return the text."""
        began = monotonic()
        text = self.format
        ctx.log(Level.DEBUG, "null" if text is None else text)
        tags = {"format": text} if text is not None else {}
        ctx.metric("length", "counter", len(text or ""), tags)
        ctx.metric("duration", "timer", monotonic() - began, tags)
        return {"value": text}


@task("io.kestra.plugin.core.debug.Echo", inline=True)
class Echo(TaskProperties):
    """Log the rendered text (`core.log.Log` is the present way)."""

    format: str
    level: Level = Level.INFO

    def run(self, ctx: RunContext) -> Outputs:
        """Log the text."""
        ctx.log(self.level, self.format)
        return {}
