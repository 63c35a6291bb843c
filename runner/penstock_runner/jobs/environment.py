"""The environment that a job's process starts with: clean, whatever the server's own looks like."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from penstock_runner.jobs.protocol import Job
from penstock_runner.jobs.settings import RunnerSettings, reserved
from penstock_runner.jobs.workspace import Workspace


@dataclass(slots=True)
class Earlier:
    """What earlier tasks of the same working directory set for later ones.

    `network` is that of the directory's services, `service_hosts` are their addresses in it, and
    `service_ports` variables that say where processes of this machine find them.
    """

    env: dict[str, str] = field(default_factory=dict)
    path: list[str] = field(default_factory=list)
    network: str | None = None
    service_hosts: tuple[str, ...] = ()
    service_ports: dict[str, str] = field(default_factory=dict)


def job_environment(
    *,
    settings: RunnerSettings,
    job: Job,
    task_id: str,
    taskrun_id: str,
    workspace: Workspace,
    flow_env: Mapping[str, str],
    earlier: Earlier,
    task_env: Mapping[str, str],
) -> dict[str, str]:
    """Settings, CI variables, the flow's `env`, the task's `env`; then what must be right.

    The last three name the job in `/proc`, so that what it leaves behind can be found and stopped.
    """
    env = {name: value for name, value in settings.environment.items() if not reserved(name)}
    env["HOME"] = str(workspace.path)
    env["TMPDIR"] = str(workspace.folder)
    env.update(job.ci)
    env.update(_identity(settings, job, task_id))
    env.update(flow_env)
    env.update(earlier.env)
    if earlier.path:
        env["PATH"] = ":".join([*earlier.path, env.get("PATH", "")])
    env.update(task_env)
    env["PENSTOCK_OUTPUT"] = str(workspace.output_file)
    env["PENSTOCK_STEP_SUMMARY"] = str(workspace.summary_file)
    env["PENSTOCK_ENV"] = str(workspace.env_file)
    env["PENSTOCK_PATH"] = str(workspace.path_file)
    env["PENSTOCK_TASKRUN_ID"] = taskrun_id
    env["WORKING_DIR"] = str(workspace.path)
    env["PENSTOCK_JOB_DIR"] = str(workspace.folder)
    return env


def _identity(settings: RunnerSettings, job: Job, task_id: str) -> dict[str, str]:
    return {
        "CI": "true",
        "PENSTOCK_EXECUTION_ID": job.execution_id,
        "PENSTOCK_ATTEMPT": str(job.attempt),
        "PENSTOCK_NAMESPACE": job.namespace,
        "PENSTOCK_FLOW_ID": job.flow_id,
        "PENSTOCK_FLOW_REVISION": str(job.flow_revision),
        "PENSTOCK_TASK_ID": task_id,
        "PENSTOCK_URL": settings.url,
        "PENSTOCK_RUNNER_LABELS": ",".join(settings.labels),
    }
