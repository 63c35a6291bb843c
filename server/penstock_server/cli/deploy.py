"""`penstock deploy`: the flow files of a folder go to a service, all of them or none."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import httpx2

from penstock_runner.flow import report
from penstock_runner.flow.durations import parse_iso
from penstock_runner.flow.faults import Fault, Severity
from penstock_runner.git.provenance import Provenance, committed, provenance
from penstock_server.cli import github
from penstock_server.cli.awaiting import awaited
from penstock_server.cli.connection import (
    CONNECT_SECONDS,
    Connection,
    connected,
    connection_options,
    message_of,
)
from penstock_server.cli.exits import CHANGES, FAILED, FINE, REFUSED, USAGE, Stop
from penstock_server.cli.files_beside import Beside, files_beside
from penstock_server.cli.flow_files import flow_files
from penstock_server.cli.origins import Origin, origin_of
from penstock_server.cli.screen import examples

API = "/api/v1/main/git/apply"
SIGNS = {
    "ADDED": ("+", "green"),
    "ADOPTED": ("~", "yellow"),
    "UPDATED": ("~", "yellow"),
    "PRUNED": ("-", "red"),
    "PROTECTED": ("!", "bright_black"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """How the deploy is meant."""

    source: str
    namespace: str | None
    prune: bool
    dry_run: bool
    strict: bool
    confirm: str | None
    timeout: float
    via: str = "ci"


def seconds(_context: click.Context, _option: click.Parameter, value: str) -> float:
    """A duration in seconds, or as ISO 8601."""
    try:
        found = float(value)
    except ValueError:
        try:
            found = parse_iso(value).total_seconds()
        except ValueError:
            raise click.BadParameter(f"{value!r} is no duration: write PT5M or 300") from None
    if not 1 <= found <= 3600:
        raise click.BadParameter(f"{value!r} is not between 1 second and 1 hour")
    return found


@click.command(
    epilog=examples(
        "penstock deploy flows --server https://penstock.example.org --prune",
        "penstock deploy flows --dry-run --exit-code",
    )
)
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@click.option("--namespace", metavar="NAMESPACE", help="All flows go there, whatever files say.")
@click.option("--source", default="ci", show_default=True, help="Who owns the flows.")
@click.option("--prune", is_flag=True, help="Delete flows of the same source that are not sent.")
@click.option("--confirm", metavar="DIGEST", help="Let one refused plan through.")
@click.option("--dry-run", is_flag=True, help="Say what would change; change nothing.")
@click.option("--exit-code", is_flag=True, help="With --dry-run: 10 when there are changes.")
@click.option("--strict", is_flag=True, help="Warnings block, too.")
@click.option("--wait", is_flag=True, help="Wait for the executions that it starts, too.")
@click.option(
    "--timeout",
    callback=seconds,
    metavar="DURATION",
    default="PT5M",
    show_default=True,
    help="How long the service may take, PT5M or 300.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "github"]),
    default="text",
    show_default=True,
    help="github: annotations, outputs and a summary of the step.",
)
@click.option(
    "--report",
    "report_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File for the result as JSON.",
)
@connection_options
def command(
    path: Path,
    form: str,
    report_path: Path | None,
    *,
    exit_code: bool,
    wait: bool,
    server: str,
    user: str | None,
    token: str | None,
    token_file: Path | None,
    **options: Any,
) -> None:
    """Send the flow files at PATH to a service: all are valid and applied, or nothing changes.

    The flows are live when the command ends. With --wait it ends when the executions have ended
    that the deploy has started (flows with a push trigger); 1 when one of them has failed.

    Exit codes: 0 fine, 1 invalid flows, 2 wrong usage, 3 the service cannot be reached, 4 not
    authorised, 5 refused by a guard or conflict, 10 with --exit-code and --dry-run: changes.
    """
    try:
        connection = connected(server, user, token, token_file)
        environment = dict(os.environ)  # noqa: TID251 - what the CI system tells the command
        said = Said(
            form=form, environment=environment, report=report_path, server=connection.server
        )
        code, result = deploy_files(path, Wanted(**options), connection, said)
        if wait and result.get("executions"):
            code = awaited(connection, result["executions"], options["timeout"])
    except Stop as stop:
        if form == "github":
            click.echo(f"::error title=Deploy::{_data(stop.message)}")
        raise
    raise SystemExit(FINE if code == CHANGES and not exit_code else code)


def deploy_files(
    path: Path, wanted: Wanted, connection: Connection, said: Said
) -> tuple[int, dict[str, Any]]:
    """Check, send and say how it went; a dry run with changes gives `CHANGES`."""
    checkout = provenance(path.resolve() if path.is_dir() else path.resolve().parent)
    files = read_files(path, checkout.root if checkout is not None else None)
    faults = check_files(files, wanted.namespace)
    blocking = {Severity.ERROR, Severity.WARNING} if wanted.strict else {Severity.ERROR}
    if any(fault.severity in blocking for fault in faults):
        said.invalid([report.record(one) for one in report.in_order(faults)])
        return FAILED, {}
    said.warnings(faults)
    beside = files_beside(path, checkout.root if checkout is not None else None)
    origin = _origin(said.environment, checkout, files)
    answer = send(connection, wanted, files, origin, beside)
    if answer.status_code == 422:
        records = [one for one in answer.json()["_embedded"]["errors"] if "code" in one]
        if not records:
            raise connection.told(answer)
        said.invalid(records)
        return FAILED, {}
    if answer.status_code == 409:
        said.refused(message_of(answer))
        return REFUSED, {}
    result: dict[str, Any] = answer.json()
    said.done(result)
    return CHANGES if wanted.dry_run and result["changed"] else FINE, result


def _origin(
    environment: Mapping[str, str], checkout: Provenance | None, files: Mapping[str, str | Fault]
) -> Origin:
    """Where the files come from; what was changed since the commit does not carry its name."""
    if checkout is not None and checkout.commit is not None:
        texts = {path: text for path, text in files.items() if isinstance(text, str)}
        if not committed(checkout, texts):
            sha = checkout.commit.sha[:7]
            click.echo(f"penstock: the files are not as commit {sha} has them", err=True)
            checkout = replace(checkout, commit=None)
    return origin_of(environment, checkout)


def read_files(path: Path, root: Path | None) -> dict[str, str | Fault]:
    """The texts by path from the root of the checkout (or from the folder that was named)."""
    base = path.resolve() if path.is_dir() else path.resolve().parent
    start = root if root is not None and base.is_relative_to(root) else base
    found: dict[str, str | Fault] = {}
    for file, _named in flow_files([path.resolve()]):
        shown = file.relative_to(start).as_posix()
        try:
            found[shown] = file.read_bytes().decode("utf-8-sig")
        except UnicodeDecodeError as error:
            message = f"the file is not UTF-8 text (byte {error.start + 1})"
            found[shown] = Fault(code="YAML_SYNTAX", message=message, path=shown)
        except OSError as error:
            found[shown] = Fault(code="UNREADABLE", message=str(error.strerror), path=shown)
    if not found:
        raise Stop(f"there is no flow file (*.yml, *.yaml) in {path}", USAGE)
    return found


def check_files(files: Mapping[str, str | Fault], namespace: str | None) -> list[Fault]:
    """All faults, found as the service would find them."""
    from penstock_runner.tasks.registry import Registry
    from penstock_server.sync.reading import Reader, fault_from

    reader = Reader(catalogue=Registry(), namespace=namespace or None, include=files.get)
    read = [reader.file(path, "", text) for path, text in files.items()]
    return [fault_from(fault) for file in read for fault in file["faults"]]


def send(
    connection: Connection,
    wanted: Wanted,
    files: Mapping[str, str | Fault],
    origin: Origin,
    beside: Beside,
) -> httpx2.Response:
    """Deploy; the answer is the result, a refusal (409) or the service's own faults (422)."""
    params = {"dryRun": wanted.dry_run, "prune": wanted.prune, "strict": wanted.strict}
    body = {**origin.body(), "source": wanted.source, "files": dict(files), **beside.body()}
    if wanted.namespace:
        body["namespace"] = wanted.namespace
    if wanted.via != "ci":
        body["via"] = wanted.via
    query: dict[str, Any] = {name: "true" for name, value in params.items() if value}
    if wanted.confirm:
        query["confirm"] = wanted.confirm
    return connection.asked(
        "POST",
        API,
        accepted=frozenset({409, 422}),
        params=query,
        json=body,
        timeout=httpx2.Timeout(wanted.timeout, connect=CONNECT_SECONDS),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """Says how it went, in the form that was asked for."""

    form: str
    environment: Mapping[str, str]
    report: Path | None
    server: str

    def warnings(self, faults: Sequence[Fault]) -> None:
        """What does not block."""
        kept = [fault for fault in faults if fault.severity is Severity.WARNING]
        if kept and self.form == "github":
            click.echo(report.github(kept))
        elif kept:
            click.echo(report.text(kept), err=True, nl=False)

    def invalid(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Flows that are not valid: nothing was sent, or nothing was written."""
        faults = [_fault(record) for record in records]
        if self.form == "json":
            click.echo(json.dumps({"valid": False, "errors": list(records)}, indent=2))
        elif self.form == "github":
            click.echo(report.github(faults))
        click.echo(report.text(faults), err=True, nl=False)
        click.echo("penstock: nothing was deployed: a flow is not valid", err=True)
        self._leave({"valid": False, "errors": list(records)})
        title = f"{len(records)} faults, nothing was deployed"
        self._step({"changed": False}, github.fault_summary(records, title))

    def refused(self, reason: str) -> None:
        """The service does not let the plan through."""
        if self.form == "json":
            click.echo(json.dumps({"refused": reason}, indent=2))
        elif self.form == "github":
            click.echo(f"::error title=Deploy refused::{_data(reason)}")
        click.echo(f"penstock: {self.server} refuses: {reason}", err=True)
        if "Confirm plan" in reason:
            click.echo("penstock: --confirm DIGEST lets that plan through", err=True)
        self._leave({"refused": reason})
        text = f"### Deploy refused\n\n{github.shown(reason)}\n"
        self._step({"changed": False}, text)

    def done(self, result: Mapping[str, Any]) -> None:
        """It is done, or a dry run."""
        if self.form == "json":
            click.echo(json.dumps({**result, "server": self.server}, indent=2))
        else:
            click.echo("\n".join(_lines(result, self.server)))
        self._leave({**result, "server": self.server})
        counts = result["counts"]
        outputs = {
            "run-id": result["run"],
            "run-url": f"{self.server}/git/runs/{result['run']}",
            "applied-commit": "" if result["dryRun"] else result["commit"],
            "added": github.added(counts),
            "updated": github.updated(counts),
            "pruned": counts.get("pruned", 0),
            "unchanged": counts.get("unchanged", 0),
            "changed": result["changed"],
        }
        self._step(outputs, github.deploy_summary(result, self.server))

    def _leave(self, data: Mapping[str, Any]) -> None:
        if self.report is None:
            return
        try:
            self.report.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            raise Stop(f"{self.report} cannot be written: {error.strerror}", USAGE) from None

    def _step(self, outputs: Mapping[str, object], summary: str) -> None:
        if self.form != "github":
            return
        plan = {"plan": str(self.report)} if self.report is not None else {}
        github.put_outputs(self.environment, {**outputs, **plan})
        github.put_summary(self.environment, summary)


def _lines(result: Mapping[str, Any], server: str) -> list[str]:
    lines: list[str] = []
    for item in result["items"]:
        if item["action"] == "KEPT":
            continue
        sign, colour = SIGNS.get(item["action"], ("?", "white"))
        name = f"{item['namespace']}.{item['id']}"
        more = [item["path"] or "", _revisions(item)]
        if item["action"] == "PROTECTED":
            more.append("not sent, but its namespace is protected")
        if item["drifted"]:
            more.append("was edited on the service")
        lines.append(f"{click.style(sign, fg=colour)} {name}  {'  '.join(filter(None, more))}")
    counts = result["counts"]
    shown = (
        f"{github.added(counts)} added, {github.updated(counts)} updated,"
        f" {counts.get('pruned', 0)} pruned, {counts.get('unchanged', 0)} unchanged"
    )
    if counts.get("kept"):
        shown += f", {counts['kept']} not sent but kept (--prune deletes them)"
    head = "dry run" if result["dryRun"] else f"deployed {result['commit'][:12]} to {server}"
    lines.append(f"{head} as source {result['source']}: {shown}")
    return lines


def _revisions(item: Mapping[str, Any]) -> str:
    before, after = item["fromRevision"], item["toRevision"]
    if after is None:
        return ""
    return f"revision {after}" if before in {None, after} else f"revision {before} -> {after}"


def _fault(record: Mapping[str, Any]) -> Fault:
    fault = Fault(
        code=str(record["code"]),
        message=str(record.get("message") or ""),
        path=str(record.get("path") or ""),
        severity=Severity(record.get("severity") or "error"),
        hint=record.get("hint"),
        flow=str(record.get("flow") or ""),
    )
    return replace(fault, line=int(record.get("line") or 1), column=int(record.get("column") or 1))


def _data(value: str) -> str:
    return value.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
