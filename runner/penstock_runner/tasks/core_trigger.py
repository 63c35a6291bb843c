"""The task that turns triggers on and off."""

from __future__ import annotations

from penstock_runner.tasks.api import Outputs, RunContext, TaskProperties, task


@task("io.kestra.plugin.core.trigger.Toggle")
class Toggle(TaskProperties):
    """Turn a trigger off, or on again; its next date is kept."""

    trigger: str
    flow_id: str | None = None
    namespace: str | None = None
    enabled: bool = False

    def run(self, ctx: RunContext) -> Outputs:
        """Have the trigger changed."""
        ctx.call(
            "triggers.toggle",
            namespace=self.namespace or ctx.namespace,
            flow_id=self.flow_id or ctx.flow_id,
            trigger=self.trigger,
            enabled=self.enabled,
        )
        return {}
