"""Rows of a PostgreSQL database that start executions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penstock_runner.tasks.api import Outputs, RunContext, task
from penstock_runner.tasks.jdbc_postgresql import Query
from penstock_runner.tasks.polling import PollingTrigger


@task("io.kestra.plugin.jdbc.postgresql.Trigger", kind="polling")
class Trigger(PollingTrigger, Query):
    """Start an execution when a query gives rows, with its rows as `trigger.rows` and the like.

    `afterSQL` runs once the execution exists, to mark the rows as taken.
    """

    def evaluate(self, ctx: RunContext) -> Outputs | None:
        """Ask for the rows."""
        how = "FETCH" if self.wanted == "NONE" else self.wanted
        asked = self.model_copy(update={"after_sql": None, "fetch_type": how})
        found = Query.run(asked, ctx)
        if found.get("size"):
            return found
        if isinstance(uri := found.get("uri"), str):
            ctx.storage.delete(uri)
        return None

    def taken(self, ctx: RunContext, found: Mapping[str, Any]) -> None:  # noqa: ARG002 - the statement knows its rows
        """Say that the rows were taken."""
        if self.after_sql is not None:
            marks = {"sql": self.after_sql, "after_sql": None, "fetch_type": "NONE"}
            Query.run(self.model_copy(update=marks), ctx)
