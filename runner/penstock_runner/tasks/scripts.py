"""What all script tasks share: their properties, and the way from commands to outputs.

Order: namespace files, input files, then the commands are rendered (they may name the working
directory), addresses of stored files in them become local paths, the process runs, and output files
are collected, after a failure too.
"""

from __future__ import annotations

import shlex
import signal
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Protocol

from pydantic import Field

from penstock_runner.engine.state import State
from penstock_runner.flow.model import Level
from penstock_runner.tasks import python_environment
from penstock_runner.tasks.api import (
    ProcessEnd,
    ProcessSpec,
    Raw,
    Result,
    RunContext,
    TaskFailed,
    TaskProperties,
    Typed,
)
from penstock_runner.tasks.python_environment import Wish

PROCESS = "io.kestra.plugin.core.runner.Process"
DOCKER = "io.kestra.plugin.scripts.runner.docker.Docker"
SCRIPT = "penstock_script"
LONGEST_ARGUMENT = 100_000
"""The system takes 128 KiB in one argument; a longer script goes through a file."""


class ScriptContext(RunContext, Protocol):
    """The world of a script task: files beside what every task has."""

    @property
    def output_dir(self) -> Path: ...

    def check_out(self) -> None:
        """Put the tree of the execution's commit into the working directory."""
        ...

    def place_files(
        self,
        *,
        namespace_files: Mapping[str, Any] | None = None,
        input_files: object = None,
        more: Mapping[str, object] | None = None,
    ) -> None:
        """Put namespace files and `inputFiles` (unrendered) into the working directory."""
        ...

    def localise(self, text: str) -> str:
        """The text with addresses of stored files replaced by paths of local copies."""
        ...

    def write_file(self, name: str, content: str) -> Path:
        """Write a text file into the working directory."""
        ...

    def collect_files(self, patterns: Iterable[str], *, output_dir: bool = False) -> dict[str, str]:
        """Store what matches `outputFiles`, and what is in the output directory."""
        ...

    @property
    def search_path(self) -> str:
        """The PATH of processes on this machine."""
        ...

    @property
    def index_settings(self) -> Mapping[str, str]:
        """Where the machine gets packages from, as variables for installers."""
        ...

    def stands_in(self, task_runner: Mapping[str, object] | None) -> bool:
        """Whether a process takes the place of a container the task did not ask to do without."""
        ...

    def in_container(self, task_runner: Mapping[str, object] | None) -> bool:
        """Whether a process with this task runner would not run on this machine itself."""
        ...

    def cache_folder(self, name: str, *, shared: bool = False) -> Path:
        """A folder of this runner that outlives its jobs; a shared one only they read."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Language:
    """How scripts of a language are run: `run` is the shell command before the script's path.

    `caches` are variables that name a folder for what its tools fetch or build; on this machine
    the runner keeps those, so that they neither fill the working directory nor start empty.
    """

    suffix: str
    run: str
    image: str
    env: Mapping[str, str]
    caches: Mapping[str, str] = field(default_factory=dict)


class ScriptProperties(TaskProperties):
    """The properties of every script task."""

    language: ClassVar[Language]

    task_runner: Annotated[Mapping[str, object] | None, Typed()] = None
    runner: Literal["PROCESS", "DOCKER"] | None = None
    docker: Annotated[Mapping[str, object] | None, Typed()] = None
    container_image: str | None = None
    before_commands: Annotated[list[str], Raw(), Field(default_factory=list)]
    env: Annotated[Mapping[str, object], Raw(), Field(default_factory=dict)]
    interpreter: Annotated[list[str], Field(default_factory=lambda: ["/bin/sh", "-c"])]
    fail_fast: bool = True
    warning_on_std_err: bool = True
    namespace_files: Annotated[Mapping[str, object] | None, Raw()] = None
    input_files: Annotated[object, Raw()] = None
    output_files: Annotated[list[str], Raw(), Field(default_factory=list)]
    output_directory: bool = False
    checkout: bool = False
    target_os: Annotated[
        Literal["AUTO", "LINUX", "WINDOWS"], Field(alias="targetOS", validation_alias="targetOS")
    ] = "AUTO"

    @property
    def has_output_dir(self) -> bool:
        """Whether `{{ outputDir }}` is there; the old `runner` property turns it on."""
        return self.output_directory or self.runner is not None

    @property
    def named_image(self) -> str | None:
        """The image that the task itself names."""
        named = self.container_image or (self.docker or {}).get("image")
        return str(named) if named else None

    @property
    def image(self) -> str:
        """The image for task runners that use one."""
        return self.named_image or self.language.image

    @property
    def chosen_runner(self) -> Mapping[str, object] | None:
        """The task runner that the properties name, in the present spelling.

        The old `docker` alone names none: it says how a container is to be, where there is one.
        """
        match self.runner:
            case "PROCESS":
                return {"type": PROCESS}
            case "DOCKER":
                return {"type": DOCKER, **(self.docker or {})}
            case None if self.task_runner is None and self.docker is not None:
                return self.docker
            case _:
                return None if self.task_runner is None else {"type": None, **self.task_runner}


class LanguageScript(ScriptProperties):
    """A script given as text."""

    script: Annotated[str, Raw()]

    def run(self, ctx: ScriptContext) -> Result:
        """Write the script to a file and run that."""
        run = Script(ctx, self)
        path = run.write(run.render(self.script))
        return run.through([f"{self.language.run} {shlex.quote(str(path))}"])


class LanguageCommands(ScriptProperties):
    """Commands for a shell, with the tools of a language at hand."""

    commands: Annotated[list[str], Raw()]

    def run(self, ctx: ScriptContext) -> Result:
        """Run all commands in one shell."""
        run = Script(ctx, self)
        return run.through([run.render(command) for command in self.commands])


class Script:
    """One run of a script task."""

    def __init__(self, ctx: ScriptContext, properties: ScriptProperties) -> None:
        self.ctx = ctx
        self.properties = properties
        self.env: dict[str, str] = {}
        self._kept: set[str] = set()
        self._script: Path | None = None
        self.more: dict[str, object] = {"workingDir": str(ctx.workspace)}
        if properties.has_output_dir:
            self.more["outputDir"] = str(ctx.output_dir)
        if properties.checkout:
            ctx.check_out()
        ctx.place_files(
            namespace_files=properties.namespace_files,
            input_files=properties.input_files,
            more=self.more,
        )

    def render(self, text: str) -> str:
        """A command or script as it is run: rendered, with local paths for stored files."""
        rendered = self.ctx.render(text, self.more)
        return self.ctx.localise("" if rendered is None else str(rendered))

    def write(self, script: str) -> Path:
        """Put the script into the working directory under a name of its own."""
        name = f"{SCRIPT}{self.properties.language.suffix}"
        if (self.ctx.workspace / name).exists():
            self.ctx.log(Level.DEBUG, f"The script overwrites the file {name}")
        self._script = self.ctx.write_file(name, script)
        return self._script

    def before(self) -> list[str]:
        """The `beforeCommands` as they are run."""
        return [self.render(command) for command in self.properties.before_commands]

    def with_python(self, lines: Sequence[str], **said: Any) -> tuple[str, list[str]]:
        """The Python for the lines on this machine: its command, and the lines that are left."""
        properties = self.properties
        wish = Wish(
            image=properties.named_image,
            stands_in=self.ctx.stands_in(properties.chosen_runner),
            **said,
        )
        found = python_environment.prepare(self.ctx, wish, lines)
        env = dict(found.env)
        given = self._written_environment().get("PYTHONPATH")
        if given and "PYTHONPATH" in env:
            env["PYTHONPATH"] += f":{given}"
            self._kept = {"PYTHONPATH"}
        self.env.update(env)
        return found.python, list(found.lines)

    def through(self, commands: Sequence[str], *, before: Sequence[str] | None = None) -> Result:
        """Run the commands after `beforeCommands`, and give the outputs or fail with them."""
        lines = [*(self.before() if before is None else before), *commands]
        if before is None and not self.ctx.in_container(self.properties.chosen_runner):
            _, lines = self.with_python(lines, python_task=False)
        end = self.run(lines)
        return concluded(end, self._kept_files(), warns=self.properties.warning_on_std_err)

    def run(self, lines: Sequence[str]) -> ProcessEnd:
        """Run these lines in one shell."""
        properties = self.properties
        if not self.ctx.in_container(properties.chosen_runner):
            for name, folder in properties.language.caches.items():
                self.env.setdefault(name, str(self.ctx.cache_folder(folder)))
        fail_fast = properties.fail_fast and properties.target_os != "WINDOWS"
        argv = shell_command(properties.interpreter, lines, fail_fast=fail_fast)
        if len(argv[-1]) * 4 > LONGEST_ARGUMENT and len(argv[-1].encode()) > LONGEST_ARGUMENT:
            file = self.ctx.write_file(".commands.sh", argv[-1])
            argv = [*[part for part in argv[:-1] if part != "-c"], str(file)]
        return self.ctx.run_process(
            ProcessSpec(
                argv=argv,
                env=self._environment(),
                task_runner=properties.chosen_runner,
                container_image=properties.image,
                fail_fast=properties.fail_fast,
            )
        )

    def _written_environment(self) -> dict[str, str]:
        """The `env` of the task, rendered."""
        return rendered_env(self.ctx, self.properties.env, self.more)

    def _environment(self) -> dict[str, str]:
        written = self._written_environment()
        env = {**self.properties.language.env, **self.env}
        env.update({name: text for name, text in written.items() if name not in self._kept})
        if "outputDir" in self.more:
            env["OUTPUT_DIR"] = str(self.more["outputDir"])
        return env

    def _kept_files(self) -> dict[str, str]:
        if self._script is not None:
            self._script.unlink(missing_ok=True)  # no glob of `outputFiles` is meant for it
        patterns = [str(self.ctx.render(p, self.more)) for p in self.properties.output_files]
        has_output_dir = self.properties.has_output_dir
        return self.ctx.collect_files(patterns, output_dir=has_output_dir)


def concluded(end: ProcessEnd, kept: Mapping[str, str], *, warns: bool) -> Result:
    """The outputs of a process that has ended, with the files kept of it; or its failure."""
    outputs: dict[str, object] = {
        "vars": dict(end.vars),
        "exitCode": end.exit_code,
        "outputFiles": dict(kept),
    }
    if end.container is not None:
        outputs["taskRunner"] = {"containerId": end.container}
    if end.exit_code:
        raise TaskFailed(
            f"Command failed with exit code {shown(end.exit_code)}",
            outputs=outputs,
            reason=end.reason,
            exit_code=end.exit_code,
        )
    warned = warns and end.stderr_lines > 0
    return Result(outputs=outputs, state=State.WARNING if warned else State.SUCCESS)


def rendered_env(
    ctx: RunContext, env: Mapping[str, object], more: Mapping[str, object]
) -> dict[str, str]:
    """The `env` of a task as a process gets it; a variable that is null is left out."""
    written = ctx.render(dict(env), more) or {}
    return {str(key): _text(value) for key, value in written.items() if value is not None}


def shell_command(
    interpreter: Sequence[str], lines: Sequence[str], *, fail_fast: bool
) -> list[str]:
    """The command line: the interpreter and one text of all lines."""
    return [*interpreter, "\n".join(["set -e", *lines] if fail_fast else lines)]


def shown(exit_code: int) -> str:
    """An exit code as people read it: `137 (SIGKILL)` for one that stands for a signal."""
    try:
        return f"{exit_code} ({signal.Signals(exit_code - 128).name})"
    except ValueError:
        return str(exit_code)


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
