"""The task that names values for later tasks."""

from __future__ import annotations

from collections.abc import Mapping

from penstock_runner.tasks.api import Outputs, RunContext, TaskProperties, task


@task("io.kestra.plugin.core.output.OutputValues", inline=True)
class OutputValues(TaskProperties):
    """Give the rendered `values` back as the output `values`."""

    values: Mapping[str, object] | None = None

    def run(self, ctx: RunContext) -> Outputs:  # noqa: ARG002 - every task is given it
        """Return the values."""
        return {"values": dict(self.values or {})}
