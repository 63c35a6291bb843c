"""The task that waits for a time."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import ClassVar

from pydantic import Field

from penstock_runner.flow import durations
from penstock_runner.flow.model import Level
from penstock_runner.tasks.api import Cancelled, Outputs, RunContext, TaskProperties, task


@task("io.kestra.plugin.core.flow.Sleep")
class Sleep(TaskProperties):
    """Wait for `duration`.

    An executor need not hold a job for it: `timer` says that a timer of `delay()` does the same.
    """

    timer: ClassVar[bool] = True
    duration: timedelta = Field(le=durations.LONGEST)

    def delay(self) -> timedelta:
        """How long the task waits."""
        return self.duration

    def run(self, ctx: RunContext) -> Outputs:
        """Wait, unless cancelled."""
        ctx.log(Level.INFO, f"Waiting for {durations.to_iso(self.duration)}")
        cancelled = threading.Event()
        ctx.on_cancel(cancelled.set)
        if cancelled.wait(max(self.duration.total_seconds(), 0)):
            raise Cancelled
        return {}
