"""The task that runs a container with the arguments it is given, without a shell of ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from penstock_runner.tasks.api import ProcessSpec, Raw, Result, task
from penstock_runner.tasks.docker_daemon import DockerContext, DockerProperties
from penstock_runner.tasks.scripts import DOCKER, concluded, rendered_env
from penstock_runner.tasks.taskrunner_types import Cpu, DeviceRequest, Memory, Texts

OF_THE_TASK = frozenset(
    {
        *("container_image", "commands", "env", "namespace_files", "input_files"),
        *("output_files", "warning_on_std_err", "config", "credentials"),
    }
)


@task("io.kestra.plugin.docker.Run", aliases=["io.kestra.plugin.docker.cli.Run"])
class Run(DockerProperties):
    """Run a container: `commands` are the arguments of the image's entry point."""

    container_image: str
    commands: Annotated[list[str], Raw(), Field(default_factory=list)]
    env: Annotated[Mapping[str, object], Raw(), Field(default_factory=dict)]
    namespace_files: Annotated[Mapping[str, object] | None, Raw()] = None
    input_files: Annotated[object, Raw()] = None
    output_files: Annotated[list[str], Raw(), Field(default_factory=list)]
    warning_on_std_err: bool = True
    user: str | None = None
    entry_point: Texts | None = None
    extra_hosts: Texts | None = None
    network_mode: str | None = None
    port_bindings: Texts | None = None
    volumes: Texts | None = None
    pull_policy: Literal["ALWAYS", "IF_NOT_PRESENT", "NEVER"] | None = None
    device_requests: tuple[DeviceRequest, ...] | None = None
    cpu: Cpu | None = None
    memory: Memory | None = None
    shm_size: str | None = None
    privileged: bool | None = None
    kill_grace_period: str | None = None
    delete: bool = True
    wait: bool = True

    def run(self, ctx: DockerContext) -> Result:
        """Start the container, follow it to its end, keep its output files."""
        more: dict[str, object] = {"workingDir": str(ctx.workspace)}
        ctx.place_files(
            namespace_files=self.namespace_files, input_files=self.input_files, more=more
        )
        end = ctx.run_process(
            ProcessSpec(
                argv=[ctx.localise(str(ctx.render(word, more))) for word in self.commands],
                env=rendered_env(ctx, self.env, more),
                task_runner=self._task_runner(),
                container_image=self.named(self.container_image),
            )
        )
        patterns = [str(ctx.render(pattern, more)) for pattern in self.output_files]
        kept = ctx.collect_files(patterns)
        return concluded(end, kept, warns=self.warning_on_std_err)

    def _task_runner(self) -> dict[str, Any]:
        """The properties of the Docker task runner; the image keeps an entry point not named."""
        own = self.model_dump(by_alias=True, exclude=set(OF_THE_TASK), exclude_none=True)
        entry_point = list(self.entry_point) if self.entry_point else None
        return {**own, **self.written_login(), "type": DOCKER, "entryPoint": entry_point}
