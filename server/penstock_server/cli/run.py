"""`penstock run`: one flow file, here and now, without a server."""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from penstock_server.cli.exits import FAILED, FINE, INTERRUPTED, USAGE
from penstock_server.config import BadSettings, read_env_file, read_settings

MARKS = {"SUCCESS": "ok", "WARNING": "warning", "FAILED": "failed", "KILLED": "killed"}
COLOURS = {
    "ERROR": "red",
    "WARN": "yellow",
    "DEBUG": "bright_black",
    "TRACE": "bright_black",
    "SUCCESS": "green",
    "WARNING": "yellow",
    "FAILED": "red",
    "KILLED": "red",
    "RUNNING": "blue",
}


@click.command(
    epilog="Examples:  penstock run hello.yml   penstock run load.yml -i day=2024-01-01 -i file=@rows.csv"
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "-i",
    "--input",
    "inputs",
    multiple=True,
    metavar="KEY=VALUE",
    help="An input; @PATH reads a file.",
)
@click.option(
    "-l", "--label", "labels", multiple=True, metavar="KEY=VALUE", help="A label of the execution."
)
@click.option(
    "--env-file",
    "--secrets",
    type=click.Path(exists=True, path_type=Path),
    help="File of NAME=value lines, SECRET_* among them.",
)
@click.option(
    "--runner",
    type=click.Choice(["auto", "process", "docker"]),
    default="process",
    show_default=True,
    help="Where scripts run that name no task runner.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    help="json: the result as one object on stdout.",
)
@click.option("--fail-on-warning", is_flag=True, help="A WARNING is a failure, too.")
@click.option(
    "--keep", is_flag=True, help="Keep the files of the execution and say where they are."
)
def command(
    file: Path,
    inputs: Sequence[str],
    labels: Sequence[str],
    env_file: Path | None,
    runner: str,
    form: str,
    *,
    fail_on_warning: bool,
    keep: bool,
) -> None:
    """Run the flow of FILE to its end; the exit code says the result.

    Exit codes: 0 SUCCESS or WARNING, 1 FAILED or an invalid flow, 2 wrong usage, 130 killed.
    Ctrl-C kills the execution; a second one does not wait for its tasks.
    """
    environment = dict(os.environ)  # noqa: TID251 - what the command was given
    try:
        if env_file is not None:
            environment.update(read_env_file(env_file))
        told = read_settings(environment={k: v for k, v in environment.items() if _ours(k)})
    except BadSettings as bad:
        for fault in bad.faults:
            click.echo(f"penstock: {fault}", err=True)
        sys.exit(USAGE)
    for note in told.notes:
        click.echo(f"penstock: {note}", err=True)
    folder = Path(tempfile.mkdtemp(prefix="penstock-run-"))
    try:
        code = _run(file, _pairs(inputs), _pairs(labels), told, folder, environment, runner, form)
    finally:
        if keep:
            click.echo(f"files: {folder}", err=True)
        else:
            _remove(folder)
    if code == FINE + 100:
        code = FAILED if fail_on_warning else FINE
    sys.exit(code)


def _ours(name: str) -> bool:
    return name.startswith(("SECRET_", "ENV_", "KESTRA_"))


def _run(
    file: Path,
    inputs: Mapping[str, str],
    labels: Mapping[str, str],
    told: Any,
    folder: Path,
    environment: Mapping[str, str],
    runner: str,
    form: str,
) -> int:
    from penstock_runner.executor.messages import Refused, Start
    from penstock_runner.jobs.settings import RunnerSettings, pick_environment
    from penstock_runner.local import LocalRun, Watch
    from penstock_server.clock import SystemClock

    clock = SystemClock()
    flows = _flows_beside(file)
    if not flows:
        return FAILED
    settings = RunnerSettings(
        home=folder,
        workspaces=folder / "workspaces",
        storage=folder / "storage",
        secrets=told.secrets,
        envs=told.envs,
        environment=pick_environment(environment),
        task_runner=runner,  # type: ignore[arg-type]
    )
    screen = _Screen(quiet=form == "json")
    local = LocalRun(
        flows,
        folder=folder,
        now=clock.now,
        settings=settings,
        watch=Watch(lines=screen.lines, changed=screen.changed),
    )
    _kill_on_interrupt(local)
    main = flows[0]
    start = Start(
        namespace=main.namespace,
        flow_id=main.id,
        inputs=_with_files(inputs, folder),
        resolve=True,
        labels=dict(labels),
        origin="cli",
    )
    try:
        execution = local.run(start)
    except Refused as refused:
        click.echo(f"{file}: {refused}", err=True)
        return FAILED
    if form == "json":
        click.echo(json.dumps(_result(execution), indent=2, default=str))
    else:
        screen.end(execution)
    return {"SUCCESS": FINE, "WARNING": FINE + 100, "KILLED": INTERRUPTED}.get(
        execution.state.value, FAILED
    )


def _flows_beside(file: Path) -> list[Any]:
    """The flow of the file first, then those beside it, for subflows."""
    from penstock_runner.executor.store import StoredFlow
    from penstock_runner.flow.check import check
    from penstock_runner.flow.faults import Severity
    from penstock_runner.flow.parse import parse_flow
    from penstock_runner.tasks.registry import Registry

    text = file.read_text("utf-8-sig")
    parsed = parse_flow(text, str(file))
    faults = [*parsed.faults, *(check(parsed, Registry()) if parsed.flow else ())]
    for fault in faults:
        if fault.severity is not Severity.NOTE:
            click.echo(str(fault), err=True)
    if parsed.flow is None or any(f.severity is Severity.ERROR for f in faults):
        return []
    found = [
        StoredFlow(namespace=parsed.flow.namespace, id=parsed.flow.id, revision=1, source=text)
    ]
    for other in sorted(file.parent.glob("*.y*ml")):
        if other.resolve() == file.resolve() or other.stat().st_size > 1 << 20:
            continue
        with suppress(UnicodeDecodeError):
            beside = parse_flow(other.read_text("utf-8-sig"), str(other))
            if beside.flow is not None:
                found.append(
                    StoredFlow(
                        namespace=beside.flow.namespace,
                        id=beside.flow.id,
                        revision=1,
                        source=other.read_text("utf-8-sig"),
                    )
                )
    return found


def _pairs(given: Sequence[str]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for one in given:
        name, equals, value = one.partition("=")
        if not equals or not name:
            raise click.UsageError(f"{one!r} is not KEY=VALUE")
        pairs[name] = value
    return pairs


def _with_files(inputs: Mapping[str, str], folder: Path) -> dict[str, object]:
    """Inputs whose value is @PATH become files of the internal storage."""
    from penstock_runner.tasks.storage import LocalStorage

    storage = LocalStorage(folder / "storage")
    found: dict[str, object] = {}
    for name, value in inputs.items():
        if value.startswith("@"):
            source = Path(value[1:])
            if not source.is_file():
                raise click.UsageError(f"input {name}: there is no file {source}")
            found[name] = storage.put_file(f"kestra:///local/inputs/{name}/{source.name}", source)
        else:
            found[name] = value
    return found


def _kill_on_interrupt(local: Any) -> None:
    def interrupt(_signal: int, _frame: object) -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        click.echo("killing; Ctrl-C again does not wait", err=True)
        local.kill()

    signal.signal(signal.SIGINT, interrupt)


class _Screen:
    """Shows an execution in a terminal, line by line."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._shown: dict[str, str] = {}

    def lines(self, rows: Sequence[Any]) -> None:
        """Log lines as they are written."""
        for row in rows:
            level = click.style(f"{row.level:5}", fg=COLOURS.get(row.level))
            who = click.style(row.task_id or "flow", fg="cyan")
            click.echo(f"{row.at:%H:%M:%S.%f} {level} {who}  {row.message}", err=self._quiet)

    def changed(self, execution: Any) -> None:
        """Task runs that have begun or ended."""
        if self._quiet:
            return
        for run in sorted(execution.runs.values(), key=lambda each: each.order):
            state = run.state.value
            if self._shown.get(run.key) == state:
                continue
            self._shown[run.key] = state
            if run.state.terminal:
                value = f" [{run.value}]" if run.value is not None else ""
                took = (run.history[-1][1] - run.history[0][1]).total_seconds()
                word = click.style(state, fg=COLOURS.get(state))
                click.echo(f"  {word} {run.task_id}{value} in {took:.2f} s", err=True)

    def end(self, execution: Any) -> None:
        """The result, and the outputs of the flow."""
        state = execution.state.value
        took = (execution.history[-1][1] - execution.history[0][1]).total_seconds()
        word = click.style(state, fg=COLOURS.get(state), bold=True)
        click.echo(f"{word} {execution.namespace}.{execution.flow_id} in {took:.2f} s", err=True)
        if execution.outputs:
            click.echo(json.dumps(dict(execution.outputs), indent=2, default=str))


def _result(execution: Any) -> dict[str, Any]:
    runs = sorted(execution.runs.values(), key=lambda each: each.order)
    return {
        "id": execution.id,
        "state": execution.state.value,
        "outputs": execution.outputs,
        "labels": dict(execution.labels),
        "taskRuns": [
            {
                "taskId": run.task_id,
                "value": run.value,
                "state": run.state.value,
                "attempts": len(run.attempts),
                "outputs": run.outputs,
            }
            for run in runs
        ],
    }


def _remove(folder: Path) -> None:
    import shutil

    shutil.rmtree(folder, ignore_errors=True)
