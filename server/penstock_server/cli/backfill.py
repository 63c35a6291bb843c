"""`penstock backfill`: run the dates of a schedule that are past, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, time
from typing import Any

import click

from penstock_server.cli.connection import connected, connection_options
from penstock_server.cli.exits import FAILED, USAGE, Stop
from penstock_server.cli.screen import examples, moment

API = "/api/v1/main"
LAST = time(23, 59, 59)


@click.command(
    epilog=examples(
        "penstock backfill company.team.report daily --start 2026-01-01 --end 2026-01-31",
        "penstock backfill company.team.report daily --start 2026-01-01T06:00 --inputs full=true",
    )
)
@click.argument("flow", metavar="NAMESPACE.FLOW")
@click.argument("trigger", metavar="TRIGGER")
@click.option("--start", required=True, metavar="DATE", help="The first date, in UTC if not said.")
@click.option(
    "--end",
    metavar="DATE",
    help="The last date, all of it without a time; now when left out.",
)
@click.option("--labels", multiple=True, metavar="KEY=VALUE", help="Put on each execution.")
@click.option("--inputs", multiple=True, metavar="NAME=VALUE", help="Given to each execution.")
@connection_options
def command(
    flow: str,
    trigger: str,
    start: str,
    end: str | None,
    *,
    labels: Sequence[str],
    inputs: Sequence[str],
    **where: Any,
) -> None:
    """Run every date of a schedule between two dates, both of them included.

    The executions run one after the other; then the schedule goes on as before. The page shows how
    far it is, and pauses or ends it.

    Exit codes: 0 begun, 1 there is no such schedule, 3 the service cannot be reached,
    4 not authorised, 5 another backfill is under way.
    """
    namespace, dot, flow_id = flow.rpartition(".")
    if not dot:
        raise Stop(f"{flow!r} names no flow: write NAMESPACE.FLOW", USAGE)
    backfill = {
        "start": instant("--start", start),
        "end": instant("--end", end, LAST) if end else None,
        "labels": [{"key": key, "value": value} for key, value in _pairs("--labels", labels)],
        "inputs": dict(_pairs("--inputs", inputs)),
    }
    body = {
        "namespace": namespace,
        "flowId": flow_id,
        "triggerId": trigger,
        "backfill": {name: value for name, value in backfill.items() if value},
    }
    connection = connected(**where)
    answer = connection.asked("PUT", f"{API}/triggers", json=body, accepted=frozenset({404}))
    if answer.status_code == 404:
        raise Stop(f"{connection.server} has no trigger {trigger} of flow {flow}", FAILED)
    click.echo(_told(flow, trigger, answer.json()), err=True)


def _told(flow: str, trigger: str, state: dict[str, Any]) -> str:
    begun = state.get("backfill")
    if begun is None:
        return f"{flow} {trigger}: there is no date between the two, nothing is run"
    dates = f"{moment(begun['start'])} to {moment(begun['end'])}"
    return f"{flow} {trigger}: runs from {dates}, next {moment(begun['currentDate'])} (UTC)"


def instant(option: str, text: str, of_day: time = time.min) -> str:
    """An instant; a day without a time is its first one, or the one that is given."""
    try:
        found = datetime.fromisoformat(text)
        if len(text) <= len("2026-01-31"):
            found = datetime.combine(found, of_day)
    except ValueError:
        raise Stop(f"{option} {text!r} is no date: write it as 2026-01-31T12:00", USAGE) from None
    aware = found if found.tzinfo is not None else found.replace(tzinfo=UTC)
    return aware.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _pairs(option: str, given: Sequence[str]) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for one in given:
        name, separator, value = one.partition("=")
        if not (name and separator):
            raise Stop(f"{option} {one!r} is no pair: write it as name=value", USAGE)
        pairs.append((name, value))
    return pairs
