"""`penstock validate`: every fault of flow files with its place, without a server."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from penstock_server.cli.exits import FAILED, FINE


@click.command(
    epilog="Examples:  penstock validate flows/   penstock validate a.yml b.yml --strict --format github"
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
def command(paths: Sequence[Path], form: str, *, strict: bool) -> None:
    """Check flow files and folders (the present folder when none is given).

    In folders, YAML files that are no flows are passed over. Exit codes: 0 valid, 1 faults.
    """
    from penstock_runner.flow import report
    from penstock_runner.flow.faults import Fault, Severity

    faults: list[Fault] = []
    files: list[str] = []
    for path, named in _files(paths or (Path(),)):
        found = _check(path, named=named)
        if found is not None:
            files.append(str(path))
            faults.extend(found)
    blocking = {Severity.ERROR, Severity.WARNING} if strict else {Severity.ERROR}
    blocked = [fault for fault in faults if fault.severity in blocking]
    if form == "junit":
        click.echo(report.junit(faults, files))
    else:
        shown = report.render(faults, form)
        if shown:
            click.echo(shown)
    if form == "text":
        errors = sum(fault.severity is Severity.ERROR for fault in faults)
        warnings = sum(fault.severity is Severity.WARNING for fault in faults)
        bad = len({fault.path for fault in blocked})
        click.echo(
            f"{len(files)} flow files, {len(files) - bad} valid; {errors} errors, {warnings} warnings",
            err=True,
        )
    sys.exit(FAILED if blocked else FINE)


def _files(paths: Sequence[Path]) -> Iterator[tuple[Path, bool]]:
    """The files to check; the flag tells those that were named from those that were found."""
    for path in paths:
        if path.is_dir():
            for found in sorted(path.rglob("*.y*ml")):
                hidden = any(part.startswith(".") for part in found.relative_to(path).parts)
                if found.suffix in {".yml", ".yaml"} and found.is_file() and not hidden:
                    yield found, False
        else:
            yield path, True


def _check(path: Path, *, named: bool) -> list[Any] | None:
    """The faults of a file; None for one that holds no flow and was not named."""
    from penstock_runner.flow.check import check
    from penstock_runner.flow.faults import Fault
    from penstock_runner.flow.parse import parse_documents

    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        message = f"the file is not UTF-8 text (byte {error.start + 1})"
        return [Fault(code="YAML_SYNTAX", message=message, path=str(path))]
    except OSError as error:
        return [Fault(code="UNREADABLE", message=str(error.strerror), path=str(path))]
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
        faults.extend(parsed.faults)
        if parsed.flow is not None:
            faults.extend(check(parsed, registry()))
    return faults if flows or named or faults else None


def registry() -> Any:
    """The types of this installation."""
    global _REGISTRY  # noqa: PLW0603 - one command, one registry
    if _REGISTRY is None:
        from penstock_runner.tasks.registry import Registry

        _REGISTRY = Registry()
    return _REGISTRY


_REGISTRY: Any = None
