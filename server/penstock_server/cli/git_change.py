"""`penstock git plan`, `sync`, `rollback` and `resume`: what people do to sources."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import click
import httpx2

from penstock_server.cli import git_words as words
from penstock_server.cli.connection import (
    CONNECT_SECONDS,
    Connection,
    connected,
    connection_options,
)
from penstock_server.cli.deploy import seconds
from penstock_server.cli.executions import format_option
from penstock_server.cli.exits import CHANGES, FINE
from penstock_server.cli.screen import examples

API = "/api/v1/main/git/sources"
Json = Mapping[str, Any]

timeout_option = click.option(
    "--timeout",
    callback=seconds,
    metavar="DURATION",
    default="PT5M",
    show_default=True,
    help="How long the service may take, PT5M or 300.",
)
confirm_option = click.option(
    "--confirm", metavar="DIGEST", help="Let through the plan that guards have refused."
)


@click.command(
    epilog=examples(
        "penstock git plan main",
        "penstock git plan main --commit 4f2c9d1 --no-diff",
        "penstock git plan main --exit-code",
    )
)
@click.argument("source_id", metavar="SOURCE")
@click.option("--commit", metavar="COMMIT", help="Of this commit instead of the newest.")
@click.option("--diff/--no-diff", "differences", default=True, help="With what changes in texts.")
@click.option("--exit-code", is_flag=True, help="10 when there are changes.")
@timeout_option
@format_option
@connection_options
def plan(
    source_id: str,
    commit: str | None,
    timeout: float,
    form: str,
    *,
    differences: bool,
    exit_code: bool,
    **where: Any,
) -> None:
    """What a sync would change now, flow by flow; nothing is applied.

    Exit codes: 0 fine, 1 invalid flows, 3 the service or the repository cannot be reached, 4 not
    authorised, 5 a guard would refuse it, 10 with --exit-code: there are changes.
    """
    found = asked(connected(**where), source_id, "plan", {"commit": commit}, timeout)
    if form == "json":
        click.echo(json.dumps(found, indent=2))
    elif "items" in found:
        for line in words.plan_lines(found, differences=differences):
            click.echo(line)
    _explain(found, source_id)
    code = words.code_of(found)
    changed = exit_code and code == FINE and found.get("changed")
    raise SystemExit(CHANGES if changed else code)


@click.command(
    epilog=examples(
        "penstock git sync main",
        "penstock git sync main --confirm 8d1f0c5be2a91743",
        "penstock git sync main --no-wait",
    )
)
@click.argument("source_id", metavar="SOURCE")
@confirm_option
@click.option("--accept-rewrite", is_flag=True, help="Apply a history that was rewritten.")
@click.option("--wait/--no-wait", default=True, help="Wait for the end of the run.")
@timeout_option
@format_option
@connection_options
def sync(
    source_id: str,
    confirm: str | None,
    timeout: float,
    form: str,
    *,
    accept_rewrite: bool,
    wait: bool,
    **where: Any,
) -> None:
    """Look at the repository now, and apply what is found: all of it, or nothing.

    Exit codes: 0 fine, 1 invalid flows, 3 the service or the repository cannot be reached, 4 not
    authorised, 5 refused by a guard, 6 applied without the files that have faults.
    """
    body = {"confirm": confirm, "acceptRewrite": accept_rewrite, "wait": wait}
    found = asked(connected(**where), source_id, "sync", body, timeout)
    if not wait:
        click.echo(f"{source_id} is looked at", err=True)
        return
    _end(found, source_id, form)


@click.command(
    epilog=examples(
        "penstock git rollback main --to ~1 --reason 'the loader broke'",
        "penstock git rollback main --to 4f2c9d1 --until PT2H",
    )
)
@click.argument("source_id", metavar="SOURCE")
@click.argument("place", metavar="[COMMIT|~N|RUN]", required=False)
@click.option("--to", metavar="COMMIT|~N|RUN", help="Where to go back to; may stand without --to.")
@click.option("--reason", metavar="TEXT", help="Why, for those who see it pinned.")
@click.option("--until", metavar="MOMENT", help="It ends then by itself: PT2H or an instant.")
@confirm_option
@timeout_option
@format_option
@connection_options
def rollback(
    source_id: str,
    place: str | None,
    to: str | None,
    reason: str | None,
    until: str | None,
    confirm: str | None,
    timeout: float,
    form: str,
    **where: Any,
) -> None:
    """Go back to a commit and stay there, until `penstock git resume` or --until.

    A commit that was applied before needs no network; another one is fetched by its full id.

    Exit codes: 0 fine, 1 no such commit or invalid flows, 3 the service or the repository cannot be
    reached, 4 not authorised, 5 refused by a guard.
    """
    if (place is None) == (to is None):
        raise click.UsageError("Say once where to go back to: --to COMMIT, --to ~N or --to RUN.")
    body = {"to": to or place, "reason": reason, "until": until, "confirm": confirm}
    _end(asked(connected(**where), source_id, "rollback", body, timeout), source_id, form)


@click.command(epilog=examples("penstock git resume main"))
@click.argument("source_id", metavar="SOURCE")
@timeout_option
@format_option
@connection_options
def resume(source_id: str, timeout: float, form: str, **where: Any) -> None:
    """Follow the repository again after a rollback, from now on.

    Exit codes: as of `penstock git sync`; 5 also when the source is not pinned.
    """
    _end(asked(connected(**where), source_id, "resume", {}, timeout), source_id, form)


def asked(
    connection: Connection, source_id: str, verb: str, body: Json, timeout: float
) -> dict[str, Any]:
    """What a source answers to a verb; a service may take its time."""
    answer = connection.asked(
        "POST",
        f"{API}/{quote(source_id, safe='')}/{verb}",
        tries=1,
        json={name: value for name, value in body.items() if value is not None},
        timeout=httpx2.Timeout(timeout, connect=CONNECT_SECONDS),
    )
    found: dict[str, Any] = answer.json()
    return found


def _end(found: Json, source_id: str, form: str) -> None:
    click.echo(json.dumps(found, indent=2) if form == "json" else words.summary(found))
    _explain(found, source_id)
    raise SystemExit(words.code_of(found))


def _explain(found: Json, source_id: str) -> None:
    """Say on stderr what is wrong, and the way on."""
    for line in words.error_lines(found.get("errors") or []):
        click.echo(line, err=True)
    for line in words.warning_lines(found.get("warnings") or []):
        click.echo(line, err=True)
    if found["phase"] in ("failed", "refused") and found.get("message"):
        click.echo(f"penstock: {found['message']}", err=True)
    if found.get("code") == "PRUNE_BLOCKED":
        click.echo(
            f"penstock: `penstock git plan {source_id}` shows it,"
            f" --confirm {found['digest']} lets it through",
            err=True,
        )
