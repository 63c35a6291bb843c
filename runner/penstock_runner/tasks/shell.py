"""Shell scripts and commands."""

from __future__ import annotations

from typing import ClassVar

from penstock_runner.tasks.api import Result, task
from penstock_runner.tasks.scripts import (
    Language,
    LanguageCommands,
    LanguageScript,
    Script,
    ScriptContext,
)

SHELL = Language(suffix=".sh", run="", image="ubuntu", env={})


@task("io.kestra.plugin.scripts.shell.Script")
class ShellScript(LanguageScript):
    """A shell script: its text is what the interpreter runs."""

    language: ClassVar[Language] = SHELL

    def run(self, ctx: ScriptContext) -> Result:
        """Give the whole text to the interpreter."""
        run = Script(ctx, self)
        return run.through([run.render(self.script)])


@task("io.kestra.plugin.scripts.shell.Commands")
class ShellCommands(LanguageCommands):
    """Shell commands, one after the other in one shell."""

    language: ClassVar[Language] = SHELL
