"""`penstock flow validate`, `updates`, `export`, `flow namespace update` and `flows deploy`.

What they do is what the API always did: flows are saved by the call for many flows, all or none,
and belong to no source. `penstock deploy` is the way for flows that are to have an owner.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import click

from penstock_runner.flow import report
from penstock_runner.flow.faults import Severity
from penstock_server.cli import deploy as deploys
from penstock_server.cli import validate as validating
from penstock_server.cli.connection import Connection, connected, connection_options
from penstock_server.cli.executions import format_option
from penstock_server.cli.exits import FAILED, USAGE, Stop
from penstock_server.cli.expand import expanded
from penstock_server.cli.flow_files import flow_files
from penstock_server.cli.screen import counted, examples

API = "/api/v1/main/flows"
YAML = "application/x-yaml"
Function = TypeVar("Function", bound=Callable[..., Any])

delete_option = click.option(
    "--delete/--no-delete", default=False, help="Flows that are not sent are deleted."
)


def tenant_option(function: Function) -> Function:
    """The name of a tenant, which changes nothing: there is one."""
    return click.option("--tenant", hidden=True, expose_value=False)(function)


@click.command(epilog=examples("penstock flow validate flows/"))
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--local", is_flag=True, expose_value=False, help="As always: no service is asked.")
@click.option("--strict", is_flag=True, help="Warnings block, too.")
@tenant_option
@connection_options
@click.pass_context
def validate(
    context: click.Context, /, paths: Sequence[Path], *, strict: bool, **_where: object
) -> None:
    """Check flow files and folders, here and without a service.

    Exit codes: 0 valid, 1 faults.
    """
    context.invoke(
        validating.command,
        paths=paths,
        form="text",
        report_path=None,
        sarif_path=None,
        runners_path=None,
        strict=strict,
    )


@click.command(epilog=examples("penstock flow updates flows/ --server http://127.0.0.1:8080"))
@click.argument("folder", type=click.Path(exists=True, path_type=Path))
@delete_option
@format_option
@tenant_option
@connection_options
def updates(folder: Path, form: str, *, delete: bool, **where: Any) -> None:
    """Save all flows of a folder, each in its namespace; all are valid or nothing is saved.

    Exit codes: 0 fine, 1 invalid flows, 3 the service cannot be reached, 4 not authorised, 5 a flow
    belongs to a source.
    """
    _save(connected(**where), f"{API}/bulk", [folder], None, form, delete=delete)


@click.command(epilog=examples("penstock flow namespace update company.team flows/ --delete"))
@click.argument("namespace")
@click.argument("folder", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--override-namespaces", is_flag=True, help="Flows of other namespaces go there, too."
)
@delete_option
@format_option
@tenant_option
@connection_options
def update(
    namespace: str,
    folder: Path,
    form: str,
    *,
    override_namespaces: bool,
    delete: bool,
    **where: Any,
) -> None:
    """Save all flows of a folder in one namespace; with --delete its other flows go.

    Exit codes: as of `penstock flow updates`.
    """
    into = namespace if override_namespaces else None
    _save(
        connected(**where),
        f"{API}/{quote(namespace, safe='')}",
        [folder],
        into,
        form,
        delete=delete,
    )


@click.command(epilog=examples("penstock flows deploy flows/ --namespace company.team"))
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--namespace", metavar="NAMESPACE", help="All flows go there, whatever files say.")
@click.option("--override", is_flag=True, expose_value=False, help="As always: flows are replaced.")
@click.option("--fail-fast", is_flag=True, expose_value=False, help="As always: all or nothing.")
@format_option
@tenant_option
@connection_options
def deploy(paths: Sequence[Path], namespace: str | None, form: str, **where: Any) -> None:
    """Save the flows of files and folders; all are valid or nothing is saved.

    Exit codes: as of `penstock flow updates`.
    """
    _save(connected(**where), f"{API}/bulk", paths, namespace, form, delete=False)


@click.command(epilog=examples("penstock flow export --namespace company.team backup/"))
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--namespace", metavar="NAMESPACE", help="Only of this namespace and those below.")
@tenant_option
@connection_options
def export(folder: Path, namespace: str | None, **where: Any) -> None:
    """Write `flows.zip` with all flows into a folder.

    Exit codes: 0 fine, 2 it cannot be written, 3 the service cannot be reached, 4 not authorised.
    """
    params = {"namespace": namespace} if namespace else {}
    packed = connected(**where).asked("GET", f"{API}/export/by-query", params=params).content
    file = folder / "flows.zip"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file.write_bytes(packed)
    except OSError as error:
        raise Stop(f"{file} cannot be written: {error.strerror}", USAGE) from None
    number = len(zipfile.ZipFile(io.BytesIO(packed)).namelist())
    click.echo(f"{counted(number, 'flow')} in {file}")


def _save(
    connection: Connection,
    path: str,
    places: Sequence[Path],
    namespace: str | None,
    form: str,
    *,
    delete: bool,
) -> None:
    texts = _texts(places, namespace)
    answer = connection.asked(
        "POST",
        path,
        tries=1,
        params={"delete": str(delete).lower()},
        content="\n---\n".join(texts).encode(),
        headers={"Content-Type": YAML},
        timeout=300.0,
    )
    saved = answer.json()
    if form == "json":
        click.echo(json.dumps(saved, indent=2))
        return
    for one in saved:
        name = f"{one['namespace']}.{one['id']}"
        gone = one.get("deleted")
        click.echo(f"- {name}  deleted" if gone else f"= {name}  revision {one['revision']}")
    click.echo(f"{counted(len(texts), 'flow')} saved on {connection.server}", err=True)


def _texts(places: Sequence[Path], namespace: str | None) -> list[str]:
    """The flows as they are sent: checked, without includes, in their namespace."""
    from penstock_runner.flow.rewriting import rewritten
    from penstock_runner.flow.yaml import load_documents
    from penstock_server.sync.reading import not_a_flow

    files = {str(path): expanded(path) for path, _ in flow_files(list(places))}
    faults = deploys.check_files(files, namespace)
    if any(fault.severity is Severity.ERROR for fault in faults):
        click.echo(report.text(faults), err=True, nl=False)
        raise Stop("nothing was saved: a flow is not valid", FAILED)
    found: list[str] = []
    for path, text in files.items():
        for document in load_documents(text, path):
            if document.data is None or not_a_flow(document) is not None:
                continue
            source = document.source or document.text
            [alone] = [one for one in load_documents(source, path) if one.data is not None][:1]
            found.append(rewritten(alone, namespace).text if namespace else source)
    if not found:
        raise Stop("there is no flow in what was named", USAGE)
    return found
