"""Python scripts and commands, with packages that are installed once and then kept."""

from __future__ import annotations

import shlex
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from penstock_runner.tasks.api import Raw, Result, task
from penstock_runner.tasks.scripts import (
    Language,
    LanguageCommands,
    LanguageScript,
    Script,
    ScriptContext,
    ScriptProperties,
)

PYTHON = Language(
    suffix=".py",
    run="python",
    image="ghcr.io/kestra-io/kestrapy:latest",
    env={
        "PYTHONUNBUFFERED": "true",
        "PIP_ROOT_USER_ACTION": "ignore",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    },
)


class PythonProperties(ScriptProperties):
    """What Python tasks have beside the properties of all scripts."""

    language: ClassVar[Language] = PYTHON

    dependencies: Annotated[list[str], Raw(), Field(default_factory=list)]
    python_version: str | None = None
    dependency_cache_enabled: bool = True
    package_manager: Literal["UV", "PIP"] = "UV"


@task("io.kestra.plugin.scripts.python.Script")
class PythonScript(PythonProperties, LanguageScript):
    """A Python script given as text."""

    def run(self, ctx: ScriptContext) -> Result:
        """Write the script to a file and run it with Python."""
        run = Script(ctx, self)
        text = run.render(self.script)
        path = run.write(text)
        before = run.before()
        python, before = _prepared(self, run, before, text)
        return run.through([f"{shlex.quote(python)} {shlex.quote(str(path))}"], before=before)


@task("io.kestra.plugin.scripts.python.Commands")
class PythonCommands(PythonProperties, LanguageCommands):
    """Shell commands with Python at hand."""

    def run(self, ctx: ScriptContext) -> Result:
        """Run all commands in one shell."""
        run = Script(ctx, self)
        lines = [*run.before(), *(run.render(command) for command in self.commands)]
        _, lines = _prepared(self, run, lines, "")
        return run.through(lines, before=[])


def _prepared(
    properties: PythonProperties, run: Script, lines: list[str], script: str
) -> tuple[str, list[str]]:
    """The command that starts Python, and the lines to run before and with it."""
    wanted = tuple(run.render(requirement) for requirement in properties.dependencies)
    if run.ctx.in_container(properties.chosen_runner):
        packages = " ".join(map(shlex.quote, wanted))
        return "python", [*([f"pip install --quiet {packages}"] if wanted else []), *lines]
    return run.with_python(
        lines,
        python_task=True,
        version=properties.python_version,
        dependencies=wanted,
        manager=properties.package_manager,
        cached=properties.dependency_cache_enabled,
        script=script,
    )
