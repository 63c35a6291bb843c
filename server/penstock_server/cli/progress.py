"""How a run in the terminal looks while it goes on, and what is said of its end."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import click

from penstock_server.cli.log_text import log_text
from penstock_server.cli.screen import COLOURS, duration


class Progress:
    """Shows an execution in a terminal, line by line."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._shown: dict[str, str] = {}

    def lines(self, rows: Sequence[Any]) -> None:
        """Log lines as they are written."""
        for row in rows:
            text = log_text(row.message)
            if text is None:
                continue
            level = click.style(f"{row.level:5}", fg=COLOURS.get(row.level))
            who = click.style(row.task_id or "flow", fg="cyan")
            click.echo(f"{row.at:%H:%M:%S.%f} {level} {who}  {text}", err=self._quiet)

    def changed(self, execution: Any) -> None:
        """Task runs that have begun or ended."""
        if self._quiet:
            return
        for run in sorted(execution.runs.values(), key=lambda each: each.order):
            state = run.state.value
            if self._shown.get(run.key) == state:
                continue
            self._shown[run.key] = state
            if run.state.terminal:
                value = f" [{run.value}]" if run.value is not None else ""
                took = (run.history[-1][1] - run.history[0][1]).total_seconds()
                word = click.style(state, fg=COLOURS.get(state))
                click.echo(f"  {word} {run.task_id}{value} in {duration(took)}", err=True)

    def end(self, execution: Any) -> None:
        """The result, and the outputs of the flow."""
        state = execution.state.value
        took = (execution.history[-1][1] - execution.history[0][1]).total_seconds()
        word = click.style(state, fg=COLOURS.get(state), bold=True)
        name = f"{execution.namespace}.{execution.flow_id}"
        click.echo(f"{word} {name} in {duration(took)}", err=True)
        if execution.outputs:
            click.echo(json.dumps(dict(execution.outputs), indent=2, default=str))


def result_of(execution: Any) -> dict[str, Any]:
    """The execution as one object."""
    runs = sorted(execution.runs.values(), key=lambda each: each.order)
    return {
        "id": execution.id,
        "state": execution.state.value,
        "outputs": execution.outputs,
        "labels": dict(execution.labels),
        "taskRuns": [
            {
                "taskId": run.task_id,
                "value": run.value,
                "state": run.state.value,
                "attempts": len(run.attempts),
                "outputs": run.outputs,
            }
            for run in runs
        ],
    }
