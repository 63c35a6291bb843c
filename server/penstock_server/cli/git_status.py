"""`penstock git status` and `history`: how sources stand, and what was done with them."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import click

from penstock_server.cli import git_words as words
from penstock_server.cli.connection import Connection, connected, connection_options
from penstock_server.cli.executions import format_option
from penstock_server.cli.exits import FAILED, Stop
from penstock_server.cli.screen import examples, moment, table

API = "/api/v1/main/git"
HEADS = ("SOURCE", "STATUS", "RUNNING", "BY", "MESSAGE", "HEAD", "LOOKED", "NEXT")
EVERY_SECONDS = 2.0

Json = Mapping[str, Any]


@click.command(
    epilog=examples(
        "penstock git status",
        "penstock git status main --exit-code",
        "penstock git status --watch",
    )
)
@click.argument("source_id", metavar="[SOURCE]", required=False)
@click.option("--watch", is_flag=True, help="Show it again every two seconds, until Ctrl-C.")
@click.option("--exit-code", is_flag=True, help="1 when a source is Degraded.")
@format_option
@connection_options
def status(source_id: str | None, form: str, *, watch: bool, exit_code: bool, **where: Any) -> None:
    """How Git sources stand: what runs, what the repository has, and what is wrong.

    Exit codes: 0 fine, 1 no such source (or Degraded, with --exit-code), 3 the service cannot be
    reached, 4 not authorised.
    """
    connection = connected(**where)
    while True:
        found = _sources(connection, source_id)
        if watch:
            click.clear()
        _show(found, form)
        if not watch:
            break
        threading.Event().wait(EVERY_SECONDS)
    if exit_code and any(one["status"] == "Degraded" for one in found):
        raise SystemExit(FAILED)


@click.command(epilog=examples("penstock git history main", "penstock git history main --run RUN"))
@click.argument("source_id", metavar="SOURCE")
@click.option("-n", "--limit", type=click.IntRange(1, 200), default=20, show_default=True)
@click.option("--run", "run_id", metavar="RUN", help="What one run did, with its difference.")
@format_option
@connection_options
def history(source_id: str, limit: int, run_id: str | None, form: str, **where: Any) -> None:
    """What was done with a source, newest first; with --run one of them in full.

    Exit codes: 0 fine, 1 no such source or run, 3 the service cannot be reached, 4 not authorised.
    """
    connection = connected(**where)
    if run_id is not None:
        _show_run(connection, run_id, form)
        return
    path = f"{API}/sources/{quote(source_id, safe='')}/runs"
    found = connection.get(path, {"size": limit, "page": 1})
    if form == "json":
        click.echo(json.dumps(found, indent=2))
        return
    rows = [_run_row(run) for run in found["results"]]
    if not rows:
        click.echo("nothing was done yet", err=True)
        return
    click.echo(table(("RESULT", "COMMIT", "CHANGES", "BY", "STARTED (UTC)", "RUN"), rows, colour=0))


def _sources(connection: Connection, source_id: str | None) -> list[Json]:
    found: list[Json] = connection.get(f"{API}/sources")
    if source_id is None:
        return found
    chosen = [one for one in found if one["id"] == source_id]
    if not chosen:
        names = ", ".join(one["id"] for one in found) or "none"
        raise Stop(f"there is no Git source {source_id!r}; there are: {names}", FAILED)
    return chosen


def _show(found: list[Json], form: str) -> None:
    if form == "json":
        click.echo(json.dumps(found, indent=2))
        return
    if not found:
        click.echo("no Git sources: `penstock git add` declares one", err=True)
        return
    now = words.now()
    rows = [_row(source, now) for source in found]
    lines = table(HEADS, rows, colour=1).splitlines()
    click.echo(lines[0].rstrip())
    for source, line in zip(found, lines[1:], strict=True):
        colour = words.STATUS_COLOURS.get(source["status"])
        click.echo(line.replace(source["status"], click.style(source["status"], fg=colour), 1))
        for more in words.source_lines(source):
            click.echo(f"    {more}")


def _row(source: Json, now: Any) -> tuple[str, ...]:
    applied, observed = source.get("applied") or {}, source.get("observed") or {}
    return (
        source["id"],
        source["status"],
        words.short(applied.get("commit")),
        (applied.get("author") or "")[:20],
        (applied.get("message") or "")[:40],
        words.short(observed.get("commit")),
        words.ago(observed.get("at"), now),
        words.until(source.get("nextPollAt"), now),
    )


def _run_row(run: Json) -> tuple[str, ...]:
    counts = run.get("counts") or {}
    changes = " ".join(f"{name} {n}" for name, n in counts.items() if n and name != "unchanged")
    phase = "dry run" if run.get("dryRun") else run["phase"]
    return (
        phase,
        words.short(run.get("toCommit")),
        changes or "-",
        run.get("actor") or run["trigger"],
        moment(run["startedAt"]),
        run["id"],
    )


def _show_run(connection: Connection, run_id: str, form: str) -> None:
    path = f"{API}/runs/{quote(run_id, safe='')}"
    run = connection.get(path)
    if form == "json":
        click.echo(json.dumps(run, indent=2))
        return
    click.echo("  ".join(_run_row(run)))
    errors = run.get("errors") or {}
    if errors.get("message"):
        click.echo(errors["message"])
    for line in words.error_lines(errors.get("items") or []):
        click.echo(line)
    for item in run["items"]:
        name = words.named(item["namespace"], item["name"])
        sign = words.SIGNS.get(item["action"], ("?", None))[0]
        click.echo(f"{sign} {name}  {item.get('path') or ''}  {words.revisions(item)}".rstrip())
    for line in words.coloured(connection.asked("GET", f"{path}/diff").text):
        click.echo(line)
