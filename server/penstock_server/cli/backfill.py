"""`penstock backfill`: run the dates of a schedule that are past, one after the other."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time
from typing import Any

import click

from penstock_server.cli.connection import Connection, connected, connection_options
from penstock_server.cli.exits import FAILED, REFUSED, USAGE, Stop
from penstock_server.cli.screen import examples, moment

API = "/api/v1/main"
LAST = time(23, 59, 59)
LOOK_AGAIN = 1.0
ACTIONS = {
    "pause": ("PUT", "backfill/pause"),
    "resume": ("PUT", "backfill/unpause"),
    "cancel": ("POST", "backfill/delete"),
}

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The trigger that is meant."""

    namespace: str
    flow_id: str
    trigger_id: str

    @property
    def name(self) -> str:
        """As the person wrote it."""
        return f"{self.namespace}.{self.flow_id} {self.trigger_id}"

    @property
    def body(self) -> Json:
        """As the API takes it."""
        return {
            "namespace": self.namespace,
            "flowId": self.flow_id,
            "triggerId": self.trigger_id,
        }


@click.command(
    epilog=examples(
        "penstock backfill company.team.report daily --start 2026-01-01 --end 2026-01-31 -f",
        "penstock backfill company.team.report daily --start 2026-01-01T06:00 --inputs full=true",
        "penstock backfill company.team.report daily --pause",
    )
)
@click.argument("flow", metavar="NAMESPACE.FLOW")
@click.argument("trigger", metavar="TRIGGER")
@click.option("--start", metavar="DATE", help="The first date, in UTC if not said; begins one.")
@click.option(
    "--end",
    metavar="DATE",
    help="The last date, all of it without a time; now when left out.",
)
@click.option("--labels", multiple=True, metavar="KEY=VALUE", help="Put on each execution.")
@click.option("--inputs", multiple=True, metavar="NAME=VALUE", help="Given to each execution.")
@click.option("--status", "action", flag_value="status", help="Say how far it is.")
@click.option("--pause", "action", flag_value="pause", help="Start no further date for now.")
@click.option("--resume", "action", flag_value="resume", help="Go on where it was paused.")
@click.option("--cancel", "action", flag_value="cancel", help="End it before its last date.")
@click.option("-f", "--follow", is_flag=True, help="Show how far it is until it is over.")
@connection_options
def command(
    flow: str,
    trigger: str,
    start: str | None,
    end: str | None,
    *,
    labels: Sequence[str],
    inputs: Sequence[str],
    action: str | None,
    follow: bool,
    **where: Any,
) -> None:
    """Run every date of a schedule between two dates, both of them included.

    The executions run one after the other; then the schedule goes on as before. With --start a
    backfill begins; --status, --pause, --resume and --cancel are about the one under way.

    Exit codes: 0 fine, 1 there is no such schedule or no backfill, 3 the service cannot be reached,
    4 not authorised, 5 another backfill is under way, or it was paused while followed.
    """
    namespace, dot, flow_id = flow.rpartition(".")
    if not dot:
        raise Stop(f"{flow!r} names no flow: write NAMESPACE.FLOW", USAGE)
    if (start is None) == (action is None) and not (follow and start is None):
        raise Stop("give --start, or one of --status, --pause, --resume and --cancel", USAGE)
    if start is None and (end or labels or inputs):
        raise Stop("--end, --labels and --inputs go with --start", USAGE)
    asked = Asked(namespace=namespace, flow_id=flow_id, trigger_id=trigger)
    backfill: Json = {
        "start": instant("--start", start) if start else None,
        "end": instant("--end", end, LAST) if end else None,
        "labels": [{"key": key, "value": value} for key, value in _pairs("--labels", labels)],
        "inputs": dict(_pairs("--inputs", inputs)),
    }
    connection = connected(**where)
    if start is not None:
        state = _begun(connection, asked, backfill)
        click.echo(_told(asked, state), err=True)
    elif action in ACTIONS:
        state = _changed(connection, asked, action)
        word = {"pause": "paused", "resume": "goes on", "cancel": "cancelled"}[action]
        click.echo(f"{asked.name}: {word}{_next(state)}", err=True)
    else:
        state = _state(connection, asked)
        click.echo(f"{asked.name}: {_progress(state)}", err=follow)
    if follow:
        _follow(connection, asked, state)


def _begun(connection: Connection, asked: Asked, backfill: Json) -> Json:
    body = {**asked.body, "backfill": {name: value for name, value in backfill.items() if value}}
    answer = connection.asked("PUT", f"{API}/triggers", json=body, accepted=frozenset({404}))
    return _known(connection, asked, answer)


def _changed(connection: Connection, asked: Asked, action: str) -> Json:
    method, path = ACTIONS[action]
    answer = connection.asked(
        method, f"{API}/triggers/{path}", json=asked.body, accepted=frozenset({400, 404})
    )
    if answer.status_code == 400:
        raise Stop(f"{asked.name}: no backfill is under way", FAILED)
    return _known(connection, asked, answer)


def _state(connection: Connection, asked: Asked) -> Json:
    path = f"{API}/triggers/{asked.namespace}/{asked.flow_id}"
    found = connection.get(path, {"size": 1000, "page": 1})["results"]
    state = next((one for one in found if one["triggerId"] == asked.trigger_id), None)
    if state is None:
        raise _unknown(connection, asked)
    return dict(state)


def _known(connection: Connection, asked: Asked, answer: Any) -> Json:
    if answer.status_code == 404:
        raise _unknown(connection, asked)
    state: Json = answer.json()
    return state


def _unknown(connection: Connection, asked: Asked) -> Stop:
    flow = f"{asked.namespace}.{asked.flow_id}"
    return Stop(f"{connection.server} has no trigger {asked.trigger_id} of flow {flow}", FAILED)


def _follow(connection: Connection, asked: Asked, state: Json) -> None:
    """Say each step until the backfill is over."""
    said = ""
    while state.get("backfill") is not None:
        if state["backfill"].get("paused"):
            raise Stop(f"{asked.name}: {_progress(state)}; --resume goes on", REFUSED)
        if (progress := _progress(state)) != said:
            click.echo(f"  {progress}", err=True)
            said = progress
        threading.Event().wait(LOOK_AGAIN)
        state = _state(connection, asked)
    click.echo(f"{asked.name}: the backfill is over{_next(state)}", err=True)


def _told(asked: Asked, state: Json) -> str:
    begun = state.get("backfill")
    if begun is None:
        return f"{asked.name}: there is no date between the two, nothing is run"
    dates = f"{moment(begun['start'])} to {moment(begun['end'])}"
    return f"{asked.name}: runs from {dates}, next {moment(begun['currentDate'])} (UTC)"


def _progress(state: Json) -> str:
    """How far a backfill is, in dates and as a share of its time."""
    backfill = state.get("backfill")
    if backfill is None:
        return "no backfill is under way"
    word = "paused at" if backfill.get("paused") else "at"
    percent = share_done(backfill["start"], backfill["end"], backfill["currentDate"])
    current, end = moment(backfill["currentDate"]), moment(backfill["end"])
    return f"{word} {current} of {end} (UTC), {percent} %"


def share_done(start: str, end: str, current: str) -> int:
    """How much of the time of a backfill is behind it, in percent; never all before it is over."""
    first, last, at = (datetime.fromisoformat(text) for text in (start, end, current))
    whole = (last - first).total_seconds()
    return 0 if whole <= 0 else max(0, min(99, int((at - first).total_seconds() * 100 / whole)))


def _next(state: Json) -> str:
    following = state.get("nextExecutionDate")
    return f", next {moment(following)} (UTC)" if following else ""


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
