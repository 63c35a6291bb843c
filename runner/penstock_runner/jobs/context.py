"""The world of one running task: implements `RunContext`; `ScriptWorld` adds what scripts need."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from penstock_runner.engine.state import State
from penstock_runner.flow.model import Level
from penstock_runner.jobs import running, strays, utterances
from penstock_runner.jobs.calls import RemoteFiles, RemoteKeyValues
from penstock_runner.jobs.environment import Earlier, job_environment
from penstock_runner.jobs.local_paths import NotAllowed, local_path
from penstock_runner.jobs.logs import LogBook
from penstock_runner.jobs.masking import Masker
from penstock_runner.jobs.output import KEPT_ANNOTATIONS, JobOutput
from penstock_runner.jobs.parts import Outside, Parts
from penstock_runner.jobs.plain import plain
from penstock_runner.jobs.protocol import Job, Metric
from penstock_runner.jobs.rendering import JobRender
from penstock_runner.jobs.script_world import ScriptWorld
from penstock_runner.jobs.services import JobServices, readable_executions
from penstock_runner.jobs.settings import Stop
from penstock_runner.jobs.silence import Listening
from penstock_runner.jobs.users import home_of
from penstock_runner.jobs.workspace import Workspace
from penstock_runner.taskrunners import choice
from penstock_runner.taskrunners.api import Command, Ended, SetupFailed, Sink
from penstock_runner.taskrunners.limits import read_limits
from penstock_runner.tasks.api import Cancelled, ProcessEnd, ProcessSpec, TaskFailed
from penstock_runner.tasks.namespace_files import NamespaceStorage
from penstock_runner.tasks.storage import Storage


class JobContext(ScriptWorld):
    """One task of one job. Children of a WorkingDirectory share workspace, log and masker."""

    def __init__(
        self,
        *,
        job: Job,
        parts: Parts,
        outside: Outside,
        workspace: Workspace,
        log: LogBook,
        masker: Masker,
        task_id: str,
        taskrun_id: str,
        variables: Mapping[str, Any],
        earlier: Earlier | None = None,
        idle: float | None = None,
    ) -> None:
        self._job = job
        self._parts = parts
        self._outside = outside
        self._folders = workspace
        self._log = log
        self._masker = masker
        self._labels: dict[str, str] = {}
        self._variables: dict[str, object | None] = {}
        self._exit: State | None = None
        self._annotations: list[dict[str, str]] = []
        self._told_about_runner = False
        self._last_choice = None
        self._earlier = earlier
        self._children: list[JobContext] = []
        self._idle: float | None = job.task.get("idleTimeout") if idle is None else idle
        self.was_silent_for: float | None = None
        self.task_id = task_id
        self.taskrun_id = taskrun_id
        self.metrics: list[Metric] = []
        self._storage = NamespaceStorage(parts.storage, RemoteFiles(outside.call))
        services = JobServices(
            now=parts.now,
            secrets=parts.settings.secrets,
            masker=masker,
            storage=self._storage,
            namespace=job.namespace,
            protected=job.protected,
            execution_prefixes=readable_executions(job),
            call=outside.call,
        )
        self.renderer = JobRender(parts.expressions, variables, services)

    @property
    def namespace(self) -> str:
        """The namespace of the flow."""
        return self._job.namespace

    @property
    def flow_id(self) -> str:
        """The id of the flow."""
        return self._job.flow_id

    @property
    def execution_id(self) -> str:
        """The id of the execution."""
        return self._job.execution_id

    @property
    def attempt(self) -> int:
        """The number of this attempt, from 1."""
        return self._job.attempt

    @property
    def variables(self) -> Mapping[str, object]:
        """The variables of expressions."""
        return self.renderer.variables

    @property
    def storage(self) -> Storage:
        """The internal storage."""
        return self._storage

    @property
    def workspace(self) -> Path:
        """The private working directory, made on first use."""
        self._folders.make()
        return self._folders.path

    @property
    def output_dir(self) -> Path:
        """Where a task may put files that are all kept."""
        self._folders.make_output_dir()
        return self._folders.output_dir

    @property
    def effects(self) -> tuple[Mapping[str, Any], ...]:
        """What the task did to its execution, for the report."""
        found: list[Mapping[str, Any]] = []
        if self._labels:
            found.append({"labels": dict(self._labels)})
        if self._variables:
            found.append({"variables": plain(self._variables)})
        if self._exit is not None:
            found.append({"exit": self._exit.value})
        for child in self._children:
            found.extend(child.effects)
        return tuple(found)

    @property
    def silent_for(self) -> float | None:
        """How long a command has said nothing, when it was stopped for that."""
        found = (self.was_silent_for, *(child.silent_for for child in self._children))
        return next((seconds for seconds in found if seconds is not None), None)

    @property
    def annotations(self) -> list[dict[str, str]]:
        """What commands have said of places in files, also those of the tasks in a directory."""
        found = list(self._annotations)
        for child in self._children:
            found += [{"task": child.task_id, **one} for one in child.annotations]
        return found[:KEPT_ANNOTATIONS]

    @property
    def summary(self) -> str:
        """The Markdown that commands have written for people who look at the execution."""
        limit = self._parts.settings.limits.summary_bytes
        text = self._folders.read_side_file(self._folders.summary_file, limit)
        return self._masker.mask(text)

    def child(
        self,
        *,
        task: Mapping[str, Any],
        taskrun_id: str,
        variables: Mapping[str, Any],
        earlier: Earlier,
    ) -> JobContext:
        """The context of a task of this directory; the log speaks as that task from now on."""
        child = JobContext(
            job=self._job,
            parts=self._parts,
            outside=self._outside,
            workspace=self._folders,
            log=self._log,
            masker=self._masker,
            task_id=str(task["id"]),
            taskrun_id=taskrun_id,
            variables={**self.renderer.variables, **variables},
            earlier=earlier,
            idle=task.get("idleTimeout"),
        )
        child.metrics = self.metrics
        self._children.append(child)
        self._log.speak_as(child.task_id)
        return child

    def finish_child(self, earlier: Earlier) -> None:
        """Keep what the child set for later tasks; the log speaks as the directory again."""
        folders, limit = self._folders, self._parts.settings.limits.output_bytes
        try:
            text = folders.read_side_file(folders.env_file, limit)
            earlier.env.update(utterances.read_output_file(text))
        except utterances.NotAMessage as error:
            self.log(Level.WARN, f"$PENSTOCK_ENV: {error}")
        added = folders.read_side_file(folders.path_file, limit).splitlines()
        earlier.path[:0] = [line.strip() for line in reversed(added) if line.strip()]
        for path in (folders.env_file, folders.path_file):
            path.unlink(missing_ok=True)
        self._log.speak_as(None)

    def masked(self, text: str) -> str:
        """The text without secrets."""
        return self._masker.mask(text)

    def now(self) -> datetime:
        """The current instant."""
        return self._parts.now()

    def local_path(self, text: str) -> Path:
        """A path of this machine that flows may use."""
        try:
            return local_path(text, self._parts.settings)
        except NotAllowed as error:
            raise TaskFailed(str(error)) from None

    def render(self, value: object, more: Mapping[str, object] | None = None) -> Any:
        """Render text, maps and lists through, with extra variables."""
        return (self.renderer.having(more) if more else self.renderer).deep(value)

    def log(self, level: Level, message: str) -> None:
        """Say something in the log of the execution."""
        self._log.say(level, message)

    def metric(
        self, name: str, kind: str, value: float, tags: Mapping[str, str] | None = None
    ) -> None:
        """Record a measurement."""
        self.metrics.append(Metric(name=name, kind=kind, value=value, tags=tags or {}))

    def kv(self, namespace: str | None = None) -> RemoteKeyValues:
        """The key-value store of a namespace, the flow's own when None."""
        return RemoteKeyValues(self._outside.call, namespace or self.namespace)

    def set_labels(self, labels: Mapping[str, str]) -> None:
        """Put labels on the execution."""
        self._labels.update(labels)

    def set_variables(self, variables: Mapping[str, object | None]) -> None:
        """Change the execution's variables."""
        self._variables.update(variables)

    def exit_execution(self, state: State) -> None:
        """Ask the execution to end in this state."""
        self._exit = state

    def on_cancel(self, stop: Callable[[], None]) -> None:
        """Call `stop` from another thread when the attempt is cancelled."""
        self._outside.cancellation.on_cancel(stop)

    def call(self, operation: str, **arguments: object) -> Any:
        """Ask the core process for what only it can do."""
        return self._outside.call(operation, arguments)

    def run_process(self, spec: ProcessSpec) -> ProcessEnd:
        """Run a process where its task runner says; its output goes to the log."""
        if self._outside.cancellation.reason is not None:
            raise Cancelled
        self._folders.make()
        output = JobOutput(
            log=self._log,
            masker=self._masker,
            limits=self._parts.settings.limits,
            metric=self.metric,
        )
        try:
            chosen = self._beside_services(self._chosen(spec.task_runner))
            if chosen.note and not self._told_about_runner:
                self._told_about_runner = True
                self.log(Level.WARN, chosen.note)
            command = self._command(spec, chosen)
            with self._outside.shielded():
                ended = running.run(
                    command,
                    chosen,
                    image=spec.container_image,
                    settings=self._parts.settings,
                    stop=Stop.of(self._job.task, self._parts.settings.limits),
                    outside=self._outside,
                    sink=self._heard(output),
                    resumes=self._earlier is None,
                )
        except SetupFailed as failed:
            raise TaskFailed(str(failed), reason="setup") from None
        if chosen.kind != "process":
            self._folders.take_back()
        return self._told(ended, output)

    def _heard(self, output: JobOutput) -> Sink:
        """Where output goes; whoever has to speak now and then is listened to."""
        idle = self._idle
        if idle is None:
            return output

        def stop() -> None:
            self.was_silent_for = idle
            self._outside.deadline(0)

        return Listening(output, idle, stop)

    def _told(self, ended: Ended, output: JobOutput) -> ProcessEnd:
        """What the process said beside its lines, for the task and for the log."""
        running.read_output_file(
            self._folders, output, log=self.log, limit=self._parts.settings.limits.output_bytes
        )
        self._annotations.extend(output.annotations)
        if ended.left_over:
            were = "process was" if ended.left_over == 1 else "processes were"
            self.log(Level.WARN, f"{ended.left_over} {were} left behind by the command and killed")
        if output.faults:
            raise TaskFailed(output.faults[0], outputs={"exitCode": ended.exit_code})
        return ProcessEnd(
            exit_code=ended.exit_code,
            reason=self._outside.cancellation.reason or running.reason(ended),
            vars=output.vars,
            stderr_lines=output.counts["stderr"],
            stdout_lines=output.counts["stdout"],
            container=ended.container,
        )

    def _command(self, spec: ProcessSpec, chosen: choice.Choice) -> Command:
        env = self._environment(spec)
        limits = read_limits(chosen.properties) if chosen.kind == "process" else None
        if chosen.properties.get("home") == "inherit" and env["HOME"] == str(self._folders.path):
            env["HOME"] = home_of(self._parts.settings.run_as) or env["HOME"]
        if chosen.kind == "process" and self._earlier is not None:
            env.update(self._earlier.service_ports)
        if chosen.kind != "process":
            del env[strays.MARK]  # what is in a container is its daemon's to end
            if env.get("PATH") == self.search_path:
                del env["PATH"]  # an image has its own
        return Command(
            argv=tuple(spec.argv),
            env=env,
            cwd=self._folders.path,
            folder=self._folders.folder,
            labels=running.labels(self._job, self.task_id, self.taskrun_id),
            limits=None if limits is None else limits.to_wire(),
        )

    def _beside_services(self, chosen: choice.Choice) -> choice.Choice:
        """A container joins the network of its directory's services unless it names another."""
        network = None if self._earlier is None else self._earlier.network
        if self._earlier is None or network is None:
            return chosen
        if chosen.kind == "process" or chosen.properties.get("networkMode"):
            return chosen
        own = chosen.properties.get("extraHosts")
        hosts = [*self._earlier.service_hosts, *(own if isinstance(own, list | tuple) else ())]
        more = {"networkMode": network, "extraHosts": hosts}
        return replace(chosen, properties={**chosen.properties, **more})

    def _environment(self, spec: ProcessSpec) -> dict[str, str]:
        flow_env = self.renderer.deep(dict(self._job.flow_env)) if self._job.flow_env else {}
        return job_environment(
            settings=self._parts.settings,
            job=self._job,
            task_id=self.task_id,
            taskrun_id=self.taskrun_id,
            workspace=self._folders,
            flow_env={str(key): str(item) for key, item in flow_env.items() if item is not None},
            earlier=self._earlier or Earlier(),
            task_env=spec.env,
        )
