"""Python scripts and commands, with packages that are installed once and then kept.

`dependencies` are installed into a folder of the runner named by their hash and put on PYTHONPATH;
the next job with the same list finds it there. A folder appears under its name only when it is
complete.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from penstock_runner.flow.model import Level
from penstock_runner.tasks.api import ProcessSpec, Raw, Result, TaskFailed, task
from penstock_runner.tasks.scripts import (
    PROCESS,
    Language,
    LanguageCommands,
    LanguageScript,
    Script,
    ScriptContext,
    ScriptProperties,
    shown,
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
        path = run.write(run.render(self.script))
        python = interpreter(self, run)
        _add_packages(self, run, python)
        return run.through([f"{shlex.quote(python)} {shlex.quote(str(path))}"])


@task("io.kestra.plugin.scripts.python.Commands")
class PythonCommands(PythonProperties, LanguageCommands):
    """Shell commands with Python at hand."""

    def run(self, ctx: ScriptContext) -> Result:
        """Run all commands in one shell."""
        run = Script(ctx, self)
        if self.dependencies:
            _add_packages(self, run, interpreter(self, run))
        return run.through([run.render(command) for command in self.commands])


def interpreter(properties: PythonProperties, run: Script) -> str:
    """The command that starts Python: `python` in a container, here what there is of it."""
    if run.ctx.in_container(properties.chosen_runner):
        return "python"
    path = run.ctx.search_path
    version = properties.python_version
    if version:
        found = shutil.which(f"python{version}", path=path)
        if found:
            return found
        run.ctx.log(
            Level.WARN, f"There is no python{version} on PATH; the task runs with what there is"
        )
    for name in ("python", "python3"):
        if shutil.which(name, path=path):
            return name
    return str(getattr(sys, "_base_executable", None) or sys.executable)


def _add_packages(properties: PythonProperties, run: Script, python: str) -> None:
    """Install what the task depends on and put it on PYTHONPATH."""
    wanted = [run.render(requirement) for requirement in properties.dependencies]
    if not wanted:
        return
    if run.ctx.in_container(properties.chosen_runner):
        packages = " ".join(map(shlex.quote, wanted))
        run.first.append(f"pip install --quiet {packages}")
        return
    folder = _installed(properties, run, python, wanted)
    given = str(properties.env.get("PYTHONPATH") or "")
    run.env["PYTHONPATH"] = ":".join(part for part in (str(folder), given) if part)
    run.env["PATH"] = f"{folder / 'bin'}:{run.ctx.search_path}"


def _installed(
    properties: PythonProperties, run: Script, python: str, wanted: Sequence[str]
) -> Path:
    executable = shutil.which(python, path=run.ctx.search_path) or python
    digest = hashlib.sha256("\n".join([os.path.realpath(executable), *sorted(wanted)]).encode())
    cache = run.ctx.cache_folder("python")
    folder = cache / digest.hexdigest()[:32]
    if properties.dependency_cache_enabled and folder.is_dir():
        return folder
    fresh = run.ctx.workspace.parent / "packages"
    end = run.ctx.run_process(
        ProcessSpec(
            argv=_install_command(properties, run, executable, fresh, wanted),
            env={
                **properties.language.env,
                "UV_CACHE_DIR": str(cache / "uv"),
                "PIP_CACHE_DIR": str(cache / "pip"),
                "UV_NO_PROGRESS": "1",
            },
            task_runner={"type": PROCESS},
        )
    )
    if end.exit_code:
        raise TaskFailed(
            f"The dependencies could not be installed: exit code {shown(end.exit_code)}",
            reason=end.reason if end.reason != "exit" else "setup",
            exit_code=end.exit_code,
        )
    if not properties.dependency_cache_enabled:
        return fresh
    try:
        fresh.rename(folder)
    except OSError:
        if not folder.is_dir():
            shutil.copytree(fresh, folder, dirs_exist_ok=True)
    return folder


def _install_command(
    properties: PythonProperties, run: Script, python: str, folder: Path, wanted: Sequence[str]
) -> list[str]:
    uv = shutil.which("uv", path=run.ctx.search_path)
    if uv and properties.package_manager == "UV":
        return [
            uv,
            "pip",
            "install",
            "--quiet",
            "--python",
            python,
            "--target",
            str(folder),
            *wanted,
        ]
    return [python, "-m", "pip", "install", "--quiet", "--target", str(folder), *wanted]
