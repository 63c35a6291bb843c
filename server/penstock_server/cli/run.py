"""`penstock run`: one flow file, here and now, without a server."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from penstock_server.cli.exits import FAILED, FINE, INTERRUPTED, USAGE, Stop
from penstock_server.cli.screen import examples
from penstock_server.config import BadSettings, Told, read_env_file, read_settings

if TYPE_CHECKING:
    from penstock_runner.executor.store import StoredFlow
    from penstock_runner.flow.model import Flow
    from penstock_runner.jobs.settings import RunnerSettings

# Only tasks of these names can ask for another flow.
ASKS_FOR_FLOWS = re.compile(r"\b(?:Subflow|ForEachItem|flows\.Flow)\b")
ASKS_FOR_LABELS = re.compile(r"\b(?:runsOn|runs-on|workerGroup|workerSelector)\b")
LARGEST_BESIDE = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to be run, and how it is shown."""

    file: Path
    inputs: Mapping[str, str]
    labels: Mapping[str, str]
    offers: tuple[str, ...]
    runner: str
    form: str
    fail_on_warning: bool


@click.command(
    epilog=examples(
        "penstock run hello.yml",
        "penstock run load.yml -i day=2024-01-01 -i file=@rows.csv --env-file .env_encoded",
    )
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
    "--offer",
    "offers",
    multiple=True,
    metavar="LABEL",
    help="A label that this run offers to tasks that ask for it, beside those of the machine.",
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
    offers: Sequence[str],
    env_file: Path | None,
    *,
    keep: bool,
    **options: Any,
) -> None:
    """Run the flow of FILE to its end; the exit code says the result.

    Flows that it asks for are looked for beside it. Ctrl-C kills the execution; a second one does
    not wait for its tasks.

    Exit codes: 0 SUCCESS or WARNING, 1 FAILED or an invalid flow, 2 wrong usage, 130 killed.
    """
    environment = dict(os.environ)  # noqa: TID251 - what the command was given
    wanted = Wanted(
        file=file,
        inputs=_pairs(inputs),
        labels=_pairs(labels),
        offers=tuple(offers),
        **options,
    )
    try:
        if env_file is not None:
            environment.update(read_env_file(env_file))
        told = read_settings(environment={k: v for k, v in environment.items() if _ours(k)})
    except BadSettings as bad:
        raise Stop("\n".join(bad.faults), USAGE) from None
    for note in told.notes:
        click.echo(f"penstock: {note}", err=True)
    folder = Path(tempfile.mkdtemp(prefix="penstock-run-"))
    try:
        sys.exit(_run(wanted, told, folder, environment))
    finally:
        if keep:
            click.echo(f"files: {folder}", err=True)
        else:
            shutil.rmtree(folder, ignore_errors=True)


def _ours(name: str) -> bool:
    return name.startswith(("SECRET_", "ENV_", "KESTRA_"))


def _cache(environment: Mapping[str, str]) -> Path | None:
    """Where packages of scripts outlive the run, beside other caches of this user."""
    base = environment.get("XDG_CACHE_HOME")
    if not base and environment.get("HOME"):
        base = f"{environment['HOME']}/.cache"
    return Path(base, "penstock") if base else None


def _run(wanted: Wanted, told: Told, folder: Path, environment: Mapping[str, str]) -> int:
    from penstock_runner.executor.messages import Refused, Start
    from penstock_runner.local import LocalRun, Watch
    from penstock_server.cli.progress import Progress, result_of
    from penstock_server.clock import SystemClock

    flow, text = _parsed(wanted.file)
    _known_inputs(flow, wanted.inputs)
    flows = [_stored(flow, text), *(_beside(wanted.file) if ASKS_FOR_FLOWS.search(text) else [])]
    progress = Progress(quiet=wanted.form == "json")
    settings = _settings(wanted, told, folder, environment)
    local = LocalRun(
        flows,
        folder=folder,
        now=SystemClock().now,
        settings=_with_labels(settings) if ASKS_FOR_LABELS.search(text) else settings,
        watch=Watch(lines=progress.lines, changed=progress.changed),
    )
    _kill_on_interrupt(local)
    start = Start(
        namespace=flows[0].namespace,
        flow_id=flows[0].id,
        inputs=_with_files(wanted.inputs, folder),
        resolve=True,
        labels=dict(wanted.labels),
        origin="cli",
    )
    try:
        execution = local.run(start)
    except Refused as refused:
        raise Stop(f"{wanted.file}: {refused}", FAILED) from None
    if wanted.form == "json":
        click.echo(json.dumps(result_of(execution), indent=2, default=str))
    else:
        progress.end(execution)
    codes = {"SUCCESS": FINE, "WARNING": FINE, "KILLED": INTERRUPTED}
    if wanted.fail_on_warning:
        codes["WARNING"] = FAILED
    return codes.get(execution.state.value, FAILED)


def _settings(
    wanted: Wanted, told: Told, folder: Path, environment: Mapping[str, str]
) -> RunnerSettings:
    """A runner that keeps everything in one folder."""
    from penstock_runner.jobs.settings import (
        RunnerSettings,
        pick_environment,
        pick_index_settings,
    )
    from penstock_server.app.containers import docker_access

    return RunnerSettings(
        home=folder,
        workspaces=folder / "workspaces",
        storage=folder / "storage",
        labels=_offers(wanted.offers),
        secrets=told.secrets,
        envs=told.envs,
        cache=_cache(environment),
        environment=pick_environment(environment),
        index_settings=pick_index_settings(environment),
        task_runner=wanted.runner,  # type: ignore[arg-type]
        docker=docker_access(told.settings, environment, private=(folder,)),
    )


def _offers(labels: Sequence[str]) -> tuple[str, ...]:
    """Labels that are offered, in lower case."""
    from penstock_runner.flow.routing import good_label

    offered = tuple(label.strip().lower() for label in labels)
    for label in offered:
        if not good_label(label):
            raise Stop(f"--offer {label[:80]}: a label is name or name=value", USAGE)
    return offered


def _with_labels(settings: RunnerSettings) -> RunnerSettings:
    """With what can be seen of this machine, Docker included: asked for when it matters."""
    from penstock_runner.jobs.offers import labels_of

    return replace(settings, labels=labels_of(settings))


def _parsed(file: Path) -> tuple[Flow, str]:
    """The flow of the file with its text; its faults are told."""
    from penstock_runner.flow.faults import Fault, Severity
    from penstock_runner.flow.parse import parse_flow
    from penstock_runner.flow.yaml import decode
    from penstock_runner.tasks.registry import Registry
    from penstock_runner.tasks.validation import all_faults

    try:
        text = decode(file.read_bytes(), str(file))
    except OSError as error:
        raise Stop(f"{file} cannot be read: {error.strerror}", USAGE) from None
    if isinstance(text, Fault):
        raise Stop(str(text), FAILED)
    parsed = parse_flow(text, str(file))
    faults = all_faults(parsed, Registry())
    for fault in faults:
        if fault.severity is not Severity.NOTE:
            click.echo(str(fault), err=True)
    if parsed.flow is None or any(f.severity is Severity.ERROR for f in faults):
        raise Stop(f"{file} is no valid flow, and is not run", FAILED)
    return parsed.flow, text


def _known_inputs(flow: Flow, given: Mapping[str, str]) -> None:
    """A misspelt input would be left out, and its default run in its place: it is refused."""
    from penstock_runner.flow.suggestions import did_you_mean

    known = [one.id for one in flow.inputs]
    for name in given:
        if name not in known:
            hint = did_you_mean(name, known) or f"it has {', '.join(known) or 'none'}"
            raise click.UsageError(f"the flow {flow.id} has no input {name}: {hint}")


def _beside(file: Path) -> list[StoredFlow]:
    from penstock_runner.flow.parse import parse_flow

    found: list[StoredFlow] = []
    for other in sorted(file.parent.glob("*.y*ml")):
        if other.resolve() == file.resolve() or other.stat().st_size > LARGEST_BESIDE:
            continue
        with suppress(UnicodeDecodeError, OSError):
            text = other.read_text("utf-8-sig")
            flow = parse_flow(text, str(other)).flow
            if flow is not None:
                found.append(_stored(flow, text))
    return found


def _stored(flow: Flow, text: str) -> StoredFlow:
    from penstock_runner.executor.store import StoredFlow

    return StoredFlow(namespace=flow.namespace, id=flow.id, revision=1, source=text)


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
