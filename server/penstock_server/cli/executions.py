"""`penstock executions`: list, show, follow and kill executions of a service."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import click

from penstock_runner.engine.state import State
from penstock_server.cli.connection import Connection, connected, connection_options
from penstock_server.cli.exits import FAILED, REFUSED, Stop
from penstock_server.cli.log_text import log_text
from penstock_server.cli.screen import COLOURS, duration, examples, moment, table

API = "/api/v1/main"
LEVELS = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR"]
ENDED = frozenset({"SUCCESS", "WARNING", "FAILED", "KILLED", "CANCELLED", "RETRIED", "SKIPPED"})
SORT = "state.startDate:desc"

Json = dict[str, Any]

format_option = click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="json: what the service answers, as one object.",
)


@click.group(
    epilog=examples("penstock executions list --state FAILED", "penstock executions logs -f ID")
)
def command() -> None:
    """List, show, follow and kill executions of a running service."""


@command.command("list", epilog=examples("penstock executions list --namespace company.team -n 5"))
@click.option("--namespace", metavar="NAMESPACE", help="Only of this namespace and those below.")
@click.option("--flow", metavar="ID", help="Only of this flow.")
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice([state.value for state in State], case_sensitive=False),
    metavar="STATE",
    help="Only in this state, such as FAILED; may be given several times.",
)
@click.option(
    "-n", "--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many."
)
@format_option
@connection_options
def list_(
    namespace: str | None,
    flow: str | None,
    states: Sequence[str],
    limit: int,
    form: str,
    **where: Any,
) -> None:
    """The latest executions, newest first.

    Exit codes: 0 fine, 3 the service cannot be reached, 4 not authorised.
    """
    params: Json = {"size": limit, "page": 1, "sort": SORT}
    if namespace:
        params["namespace"] = namespace
    if flow:
        params["flowId"] = flow
    if states:
        params["state"] = list(states)
    found = connected(**where).get(f"{API}/executions/search", params)
    if form == "json":
        click.echo(json.dumps(found, indent=2))
        return
    rows = [_row(execution) for execution in found["results"]]
    if not rows:
        click.echo("no executions", err=True)
        return
    heads = ("STATE", "FLOW", "STARTED (UTC)", "DURATION", "ID")
    click.echo(table(heads, rows, colour=0))
    if found["total"] > len(rows):
        click.echo(f"{found['total']} in all; -n shows more", err=True)


@command.command(epilog=examples("penstock executions show 5zKdQ0k2jD8V3e --format json"))
@click.argument("execution_id", metavar="ID")
@format_option
@connection_options
def show(execution_id: str, form: str, **where: Any) -> None:
    """One execution: its state, inputs, task runs and outputs.

    Exit codes: 0 fine, 1 there is none, 3 the service cannot be reached, 4 not authorised.
    """
    execution = _execution(connected(**where), execution_id)
    if form == "json":
        click.echo(json.dumps(execution, indent=2))
    else:
        click.echo("\n".join(_described(execution)))


@command.command(epilog=examples("penstock executions logs -f 5zKdQ0k2jD8V3e --level WARN"))
@click.argument("execution_id", metavar="ID")
@click.option("-f", "--follow", is_flag=True, help="Go on until the execution ends.")
@click.option("--level", type=click.Choice(LEVELS, case_sensitive=False), help="This and above.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="json: one object a line.",
)
@connection_options
def logs(
    execution_id: str,
    level: str | None,
    form: str,
    *,
    follow: bool,
    **where: Any,
) -> None:
    """The log lines of an execution.

    Exit codes: 0 fine, 1 there is none, 3 the service cannot be reached, 4 not authorised.
    """
    connection = connected(**where)
    _execution(connection, execution_id)
    if follow:
        _follow(connection, execution_id, level, form)
        return
    params = {"minLevel": level} if level else {}
    for line in connection.get(f"{API}/logs/{quote(execution_id, safe='')}", params):
        _print(line, form)


@command.command(epilog=examples("penstock executions kill 5zKdQ0k2jD8V3e"))
@click.argument("execution_ids", metavar="ID...", nargs=-1, required=True)
@connection_options
def kill(execution_ids: Sequence[str], **where: Any) -> None:
    """Ask for the end of executions, and of what they started.

    Exit codes: 0 asked, 1 there is none, 3 the service cannot be reached, 4 not authorised,
    5 it has ended.
    """
    connection = connected(**where)
    for execution_id in execution_ids:
        state = _execution(connection, execution_id)["state"]["current"]
        if state in ENDED:
            raise Stop(f"{execution_id} has ended already: {state}", REFUSED)
        path = f"{API}/executions/{quote(execution_id, safe='')}"
        connection.asked("DELETE", f"{path}/kill")
        click.echo(f"{execution_id} is asked to end", err=True)


def _execution(connection: Connection, execution_id: str) -> Json:
    path = f"{API}/executions/{quote(execution_id, safe='')}"
    answer = connection.asked("GET", path, accepted=frozenset({404}))
    if answer.status_code == 404:
        raise _missing(connection, execution_id)
    found: Json = answer.json()
    return found


def _missing(connection: Connection, execution_id: str) -> Stop:
    way = "`penstock executions list` shows those that are there"
    return Stop(f"{connection.server} has no execution {execution_id}: {way}", FAILED)


def _follow(connection: Connection, execution_id: str, level: str | None, form: str) -> None:
    from penstock_server.cli.following import follow

    for item in follow(connection, quote(execution_id, safe=""), level):
        if "state" not in item:
            _print(item, form)
            continue
        state = item["state"]
        word = click.style(state["current"], fg=COLOURS.get(state["current"]), bold=True)
        click.echo(f"{word} in {duration(state['duration'])}", err=True)


def _print(line: Mapping[str, Any], form: str) -> None:
    if form == "json":
        click.echo(json.dumps(line))
        return
    text = log_text(line["message"])
    if text is None:
        return
    level = click.style(f"{line['level']:5}", fg=COLOURS.get(line["level"]))
    who = click.style(line.get("taskId") or "flow", fg="cyan")
    click.echo(f"{moment(line['timestamp'])} {level} {who}  {text}")


def _row(execution: Mapping[str, Any]) -> tuple[str, ...]:
    state = execution["state"]
    return (
        state["current"],
        f"{execution['namespace']}.{execution['flowId']}",
        moment(state["startDate"]),
        duration(state["duration"]),
        execution["id"],
    )


def _described(execution: Mapping[str, Any]) -> list[str]:
    state = execution["state"]
    name = f"{execution['namespace']}.{execution['flowId']} revision {execution['flowRevision']}"
    word = click.style(state["current"], fg=COLOURS.get(state["current"]), bold=True)
    said = [f"{word} {name}"]
    said.append(f"started {moment(state['startDate'])} UTC, took {duration(state['duration'])}")
    shown = [one for one in execution.get("labels", ()) if not one["key"].startswith("system.")]
    labels = [f"{one['key']}: {one['value']}" for one in shown]
    if labels:
        said.append("labels  " + ", ".join(labels))
    for part in ("inputs", "outputs"):
        if execution.get(part):
            text = json.dumps(execution[part], indent=2, ensure_ascii=False)
            said += [f"{part}", *(f"  {line}" for line in text.splitlines())]
    runs = execution.get("taskRunList", ())
    for run in runs:
        if run.get("waiting"):
            said.append(f"{run['taskId']}  {run['waiting']['reason']}")
    if runs:
        rows = [_run(run) for run in runs]
        said += ["", table(("STATE", "TASK", "VALUE", "ATTEMPTS", "DURATION"), rows, colour=0)]
    return said


def _run(run: Mapping[str, Any]) -> tuple[str, ...]:
    state = run["state"]
    return (
        state["current"],
        run["taskId"],
        str(run.get("value", "")),
        str(len(run.get("attempts", ()))),
        duration(state["duration"]),
    )
