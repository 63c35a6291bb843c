"""Task types of another project, as an entry point would name them."""

from __future__ import annotations

from datetime import timedelta

from penstock_runner.tasks.api import Outputs, RunContext, task
from penstock_runner.tasks.polling import PollingTrigger


@task("acme.Ticks", kind="polling")
class Ticks(PollingTrigger):
    """Fire when there are enough ticks."""

    interval: timedelta = timedelta(minutes=5)
    least: int

    def evaluate(self, ctx: RunContext) -> Outputs | None:
        """Count them."""
        return {"ticks": 3} if self.least <= 3 else None
