"""`penstock git add`, `list`, `diff`, `remove`: which sources there are, and what differs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from penstock_server.cli import git_words as words
from penstock_server.cli.connection import connected, connection_options
from penstock_server.cli.executions import format_option
from penstock_server.cli.exits import CHANGES, FAILED, FINE, USAGE, Stop
from penstock_server.cli.git_change import asked, timeout_option
from penstock_server.cli.screen import examples, table

API = "/api/v1/main/git"
HEADS = ("SOURCE", "STATUS", "FROM", "FOLLOWS", "URL")
OWNERS = {"config": "configuration", "api": "API", "deploy": "deploys"}

Json = Mapping[str, Any]


@click.command(
    epilog=examples(
        "penstock git add flows https://git.example.org/data/flows.git --ref main --path flows",
        "penstock git add flows git@git.example.org:data/flows.git --ssh-key-secret DEPLOY_KEY",
        "penstock git add flows --file source.yml",
    )
)
@click.argument("source_id", metavar="SOURCE")
@click.argument("url", required=False)
@click.option("--ref", metavar="BRANCH", help="Branch; that of the repository when none is given.")
@click.option("--tag", metavar="TAG", help="Tag, or a pattern: the highest version that fits.")
@click.option("--commit", metavar="COMMIT", help="One commit, for ever.")
@click.option("--path", "folder", metavar="FOLDER", help="Folder with the flows.")
@click.option("--namespaces", metavar="PATTERN", multiple=True, help="What it may write.")
@click.option("--interval", metavar="SECONDS", help="Seconds between looks, or PT5M.")
@click.option("--username", metavar="NAME", help="User at the host.")
@click.option("--token-secret", metavar="NAME", help="Secret of the service with the token.")
@click.option("--ssh-key-secret", metavar="NAME", help="Secret of the service with the key.")
@click.option("--webhook-secret", metavar="NAME", help="Secret that deliveries are signed with.")
@click.option(
    "--file",
    "settings",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="YAML or JSON with any settings of a source; options win.",
)
@format_option
@connection_options
def add(
    source_id: str,
    url: str | None,
    folder: str | None,
    namespaces: tuple[str, ...],
    settings: Path | None,
    form: str,
    **options: Any,
) -> None:
    """Declare a Git source of a running service, or give one that was declared other settings.

    What is not said has its default; the service keeps it until `penstock git remove`. Secrets are
    given by their names in the service.

    Exit codes: 0 fine, 1 settings that cannot be used, 2 wrong usage, 3 the service cannot be
    reached, 4 not authorised, 5 the source belongs to the configuration or to deploys.
    """
    where = {name: options.pop(name) for name in ("server", "user", "token", "token_file")}
    body: dict[str, Any] = _settings_of(settings) if settings is not None else {}
    body |= _given(url, folder, namespaces, options)
    auth = {
        "username": options["username"],
        "tokenSecret": options["token_secret"],
        "sshKeySecret": options["ssh_key_secret"],
    }
    named = {name: value for name, value in auth.items() if value}
    if named:
        body["auth"] = {**(body.get("auth") or {}), **named}
    if "url" not in body:
        raise click.UsageError("Say where the repository is: URL, or `url` in --file.")
    path = f"{API}/sources/{quote(source_id, safe='')}"
    answer = connected(**where).asked("PUT", path, tries=1, json=body)
    if form == "json":
        click.echo(json.dumps(answer.json(), indent=2))
    else:
        done = "is added" if answer.status_code == 201 else "has other settings"
        click.echo(f"{source_id} {done}: `penstock git status {source_id}` tells how it stands")


def _given(
    url: str | None, folder: str | None, namespaces: tuple[str, ...], options: Mapping[str, Any]
) -> dict[str, Any]:
    """The settings that the command line says."""
    plain: dict[str, Any] = {
        "url": url,
        "path": folder,
        "namespaces": list(namespaces),
        **{name: options[name] for name in ("ref", "tag", "commit")},
    }
    if options["interval"]:
        given: str = options["interval"]
        plain["interval"] = int(given) if given.isdigit() else given
    if options["webhook_secret"]:
        plain["webhook"] = {"secretSecret": options["webhook_secret"]}
    return {name: value for name, value in plain.items() if value}


def _settings_of(path: Path) -> dict[str, Any]:
    import yaml

    try:
        found = yaml.safe_load(path.read_text("utf-8-sig"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise Stop(f"{path} cannot be read as YAML: {error}", USAGE) from None
    if not isinstance(found, dict):
        raise Stop(f"{path}: expected a map of settings", USAGE)
    return found


@click.command("list", epilog=examples("penstock git list", "penstock git list --format json"))
@format_option
@connection_options
def listed(form: str, **where: Any) -> None:
    """Which Git sources there are, what each follows and who says so.

    Exit codes: 0 fine, 3 the service cannot be reached, 4 not authorised.
    """
    found = connected(**where).get(f"{API}/sources")
    if form == "json":
        click.echo(json.dumps(found, indent=2))
        return
    rows = [
        (
            one["id"],
            one["status"],
            OWNERS.get(one["origin"], one["origin"]),
            f"{one['ref']}:{one['path']}" if one.get("path") else one["ref"],
            one["url"],
        )
        for one in found
    ]
    if not rows:
        click.echo("no Git sources; `penstock git add` declares one", err=True)
        return
    click.echo(table(HEADS, rows, colour=1))


@click.command(
    epilog=examples("penstock git diff main", "penstock git diff main --run RUN > run.patch")
)
@click.argument("source_id", metavar="SOURCE")
@click.option("--commit", metavar="COMMIT", help="With this commit instead of the newest.")
@click.option("--run", "run_id", metavar="RUN", help="What this run has changed.")
@click.option("--exit-code", is_flag=True, help="10 when something differs.")
@timeout_option
@connection_options
def diff(
    source_id: str,
    commit: str | None,
    run_id: str | None,
    timeout: float,
    *,
    exit_code: bool,
    **where: Any,
) -> None:
    """How the flows that run differ from the repository, as a unified difference.

    Exit codes: 0 fine, 1 invalid flows, 3 the service or the repository cannot be reached, 4 not
    authorised, 10 with --exit-code: something differs.
    """
    connection = connected(**where)
    code = FINE
    if run_id is not None:
        text = connection.asked("GET", f"{API}/runs/{quote(run_id, safe='')}/diff").text
    else:
        found = asked(connection, source_id, "plan", {"commit": commit}, timeout)
        text = "".join(item.get("diff") or "" for item in found.get("items") or ())
        code = FAILED if found.get("errors") else words.code_of(found)
        for line in words.error_lines(found.get("errors") or []):
            click.echo(line, err=True)
        if code != FINE and found.get("message"):
            click.echo(f"penstock: {found['message']}", err=True)
    for line in words.coloured(text):
        click.echo(line)
    raise SystemExit(CHANGES if exit_code and text and code == FINE else code)


@click.command(epilog=examples("penstock git remove old", "penstock git remove old --prune"))
@click.argument("source_id", metavar="SOURCE")
@click.option("--prune", is_flag=True, help="Delete its flows, too.")
@format_option
@connection_options
def remove(source_id: str, form: str, *, prune: bool, **where: Any) -> None:
    """Let go of a source that was added, or that the configuration no longer names.

    Its flows stay, or are deleted. A run that is under way ends first.

    Exit codes: 0 fine, 1 no such source, 3 the service cannot be reached, 4 not authorised, 5 the
    source is still configured.
    """
    path = f"{API}/sources/{quote(source_id, safe='')}"
    params = {"prune": "true"} if prune else {}
    found = connected(**where).asked("DELETE", path, params=params, timeout=300.0).json()
    if form == "json":
        click.echo(json.dumps(found, indent=2))
    else:
        click.echo(f"{source_id} is removed: {found['deleted']} deleted, {found['kept']} kept")
