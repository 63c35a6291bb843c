"""`penstock validate`: every fault of flow files with its place, without a server."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from penstock_server.cli.exits import FAILED, FINE, USAGE, Stop
from penstock_server.cli.flow_files import flow_files
from penstock_server.cli.screen import counted, examples


@click.command(
    epilog=examples(
        "penstock validate flows/",
        "penstock validate a.yml b.yml --strict --format github",
    )
)
@click.argument("paths", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option("--strict", is_flag=True, help="Warnings block, too.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "github", "gitlab", "sarif", "junit"]),
    default="text",
    show_default=True,
)
@click.option(
    "--report",
    "report_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File for all faults as JSON, beside what is printed.",
)
@click.option(
    "--sarif",
    "sarif_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File for all faults as SARIF, beside what is printed.",
)
@click.option(
    "--runners",
    "runners_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="YAML map of runners to lists of their labels; warns of tasks that none may take.",
)
@click.option(
    "--server",
    metavar="URL",
    help="Ask this service, too: it knows runners, subflows, secrets and types of its own. It is "
    "asked as PENSTOCK_USER with PENSTOCK_PASSWORD, or with PENSTOCK_TOKEN.",
)
def command(
    paths: Sequence[Path],
    form: str,
    report_path: Path | None,
    sarif_path: Path | None,
    runners_path: Path | None,
    server: str | None,
    *,
    strict: bool,
) -> None:
    """Check flow files and folders (the present folder when none is given).

    In folders, YAML files that are no flows are passed over. Nobody is asked without --server.

    Exit codes: 0 valid, 1 faults, 3 the service cannot be reached, 4 not authorised.
    """
    from penstock_runner.flow import report
    from penstock_runner.flow.faults import Fault, Severity

    faults: list[Fault] = []
    files: list[str] = []
    offers = _offers(runners_path, server)
    for path, named in flow_files(paths or (Path(),)):
        found = _check(path, offers, named=named)
        if found is not None:
            files.append(str(path))
            faults.extend(found if server is None else _also_there(server, path, found))
    blocking = {Severity.ERROR, Severity.WARNING} if strict else {Severity.ERROR}
    blocked = {fault.path for fault in faults if fault.severity in blocking}
    shown = report.junit(faults, files) if form == "junit" else report.render(faults, form)
    if shown:
        click.echo(shown.removesuffix("\n"))
    of = Counter(fault.severity for fault in faults)
    counts = Counts(
        files=len(files),
        valid=len(files) - len(blocked),
        errors=of[Severity.ERROR],
        warnings=of[Severity.WARNING],
    )
    if form == "text":
        click.echo(str(counts), err=True)
    _write(report_path, lambda: report.as_json(faults))
    _write(sarif_path, lambda: report.sarif(faults))
    if form == "github":
        records = [report.record(fault) for fault in report.in_order(faults)]
        _step(counts, records, valid=not blocked, report_path=report_path, sarif_path=sarif_path)
    sys.exit(FAILED if blocked else FINE)


def _also_there(server: str, path: Path, found: list[Any]) -> list[Any]:
    """The faults of a file with those that only a service can find."""
    from penstock_server.cli.validate_there import connection_to, more_faults

    return [*found, *more_faults(connection_to(server), path, found)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How many files and faults there are."""

    files: int
    valid: int
    errors: int
    warnings: int

    def __str__(self) -> str:
        return (
            f"{counted(self.files, 'flow file')}, {self.valid} valid;"
            f" {counted(self.errors, 'error')}, {counted(self.warnings, 'warning')}"
        )


def _write(path: Path | None, text: Callable[[], str]) -> None:
    if path is None:
        return
    try:
        path.write_text(text(), encoding="utf-8")
    except OSError as error:
        raise Stop(f"{path} cannot be written: {error.strerror}", USAGE) from None


def _step(
    counts: Counts,
    records: Sequence[Mapping[str, Any]],
    *,
    valid: bool,
    report_path: Path | None,
    sarif_path: Path | None,
) -> None:
    from penstock_server.cli import github

    environment = os.environ  # noqa: TID251 - what GitHub tells the step
    outputs: dict[str, object] = {"valid": valid, "errors": counts.errors}
    outputs |= {"warnings": counts.warnings, "files": counts.files}
    outputs |= {"report": report_path or "", "sarif": sarif_path or ""}
    github.put_outputs(environment, outputs)
    github.put_summary(environment, github.fault_summary(records, str(counts)))


def _offers(path: Path | None, server: str | None) -> dict[str, Any] | None:
    """What runners take, by their names; None when nobody asked for them."""
    if path is None and server is None:
        return None
    from penstock_server.cli import runner_offers

    found = {} if path is None else runner_offers.of_file(path)
    return found if server is None else {**runner_offers.of_server(server), **found}


def _check(path: Path, offers: dict[str, Any] | None, *, named: bool) -> list[Any] | None:
    """The faults of a file; None for one that holds no flow and was not named."""
    from penstock_runner.flow.faults import Fault
    from penstock_runner.flow.parse import parse_documents
    from penstock_runner.flow.unmatched import unmatched
    from penstock_runner.flow.yaml import decode
    from penstock_runner.tasks.validation import all_faults

    try:
        text = decode(path.read_bytes(), str(path))
    except OSError as error:
        return [Fault(code="UNREADABLE", message=str(error.strerror), path=str(path))]
    if isinstance(text, Fault):
        return [text]
    faults: list[Fault] = []
    flows = 0
    for parsed in parse_documents(text, str(path)):
        data = parsed.document.data
        looks = isinstance(data, dict) and (
            "tasks" in data or ("id" in data and "namespace" in data)
        )
        if not looks and parsed.document.data is not None and not named:
            continue
        flows += 1
        faults.extend(all_faults(parsed, registry()))
        if offers is not None:
            faults.extend(unmatched(parsed.document, offers))
    return faults if flows or named or faults else None


def registry() -> Any:
    """The types of this installation."""
    global _REGISTRY  # noqa: PLW0603 - one command, one registry
    if _REGISTRY is None:
        from penstock_runner.tasks.registry import Registry

        _REGISTRY = Registry()
    return _REGISTRY


_REGISTRY: Any = None
