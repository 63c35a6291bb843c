"""Runs one command of a job by the task runner that was chosen for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from penstock_runner.flow.model import Level
from penstock_runner.jobs import utterances
from penstock_runner.jobs.output import JobOutput
from penstock_runner.jobs.parts import Outside
from penstock_runner.jobs.protocol import Job
from penstock_runner.jobs.settings import RunnerSettings, Stop
from penstock_runner.jobs.workspace import Workspace
from penstock_runner.taskrunners import process
from penstock_runner.taskrunners.api import Command, Ended, SetupFailed, Sink, signal_name
from penstock_runner.taskrunners.choice import Choice


def run(
    command: Command,
    chosen: Choice,
    *,
    image: str | None,
    settings: RunnerSettings,
    outside: Outside,
    sink: Sink,
    stop: Stop,
    resumes: bool,
) -> Ended:
    """Run the command to its end; raises `SetupFailed` when it never began.

    `resumes` says that a container may be taken up which an earlier attempt left running.
    """
    if chosen.kind == "process":
        ended = process.run(command, outside.spawner, sink)
    else:
        ended = _in_docker(command, chosen, image, settings, outside, sink, stop, resumes=resumes)
    if ended.error is not None:
        raise SetupFailed(ended.error)
    return ended


def _in_docker(
    command: Command,
    chosen: Choice,
    image: str | None,
    settings: RunnerSettings,
    outside: Outside,
    sink: Sink,
    stop: Stop,
    *,
    resumes: bool,
) -> Ended:
    from penstock_runner.taskrunners import docker
    from penstock_runner.taskrunners.docker_settings import settings_of

    if chosen.daemon is None:  # pragma: no cover - a choice of Docker has its daemon
        raise SetupFailed("No Docker daemon was found for this task")
    read = settings_of(
        chosen.properties,
        image=image,
        access=settings.docker,
        grace=stop.grace,
        stop_signal=signal_name(stop.number),
    )
    return docker.run(
        command,
        read if resumes else replace(read, resume=False),
        chosen.daemon,
        sink=sink,
        interrupts=outside.cancellation,
        resumable=outside.resumable,
    )


def read_output_file(
    workspace: Workspace, output: JobOutput, *, log: Callable[[Level, str], None], limit: int
) -> None:
    """Take over what the command wrote to `$PENSTOCK_OUTPUT`."""
    path = workspace.output_file
    if not path.exists():
        return
    try:
        values = utterances.read_output_file(workspace.read_side_file(path, limit + 1))
    except utterances.NotAMessage as error:
        log(Level.WARN, f"$PENSTOCK_OUTPUT: {error}")
        return
    path.unlink(missing_ok=True)
    if values:
        output.add_outputs(values)


def reason(ended: Ended) -> str | None:
    """Why a command that nobody cancelled failed, None when it did not."""
    if ended.oom:
        return "oom"
    return "exit" if ended.exit_code else None


def labels(job: Job, task_id: str, taskrun_id: str) -> dict[str, str]:
    """What a container of this job is labelled with."""
    return {
        "namespace": job.namespace,
        "flow-id": job.flow_id,
        "task-id": task_id,
        "execution-id": job.execution_id,
        "taskrun-id": taskrun_id,
        "taskrun-attempt": str(job.attempt - 1),
    }
