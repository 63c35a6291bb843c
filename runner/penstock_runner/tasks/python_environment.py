"""The Python that a task of this machine gets where a container would have brought its own.

A task that names a Python image, or whose lines install packages, runs in a virtual environment of
its own, made for this one run, so that nothing it installs stays on the machine. What takes time is
kept: the packages that the image is known for, `dependencies`, and what plain `pip install` lines
name are installed once into folders that all runs share.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from penstock_runner.flow.model import Level
from penstock_runner.tasks import pip_lines, python_packages
from penstock_runner.tasks.api import ProcessSpec, TaskFailed
from penstock_runner.tasks.python_images import PythonImage, read_image
from penstock_runner.tasks.python_packages import PROCESS, PackageContext, PackageSet

PROBE_SECONDS = 10
IMPORTS_KESTRA = re.compile(r"^\s*(?:from|import)\s+kestra\b", re.MULTILINE)
LOOKED_AT_FILES = 200
LOOKED_AT_BYTES = 1024 * 1024
NO_IMAGE = PythonImage()


class EnvironmentContext(PackageContext, Protocol):
    """What preparing needs of a running task."""

    def stands_in(self, task_runner: Mapping[str, object] | None) -> bool: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a task says about its Python.

    `image` is the image that the task itself names; `python_task` is a task of the language, which
    needs a Python in any case; `stands_in` says that the process takes the place of a container.
    """

    image: str | None
    python_task: bool
    stands_in: bool
    version: str | None = None
    dependencies: tuple[str, ...] = ()
    manager: str = "UV"
    cached: bool = True
    script: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """The command that starts Python, variables for the process, and the lines that are left."""

    python: str
    lines: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)


def prepare(ctx: EnvironmentContext, wish: Wish, lines: Sequence[str]) -> Prepared:
    """Find the Python, install what is wanted, and say how to run the lines with it."""
    image = read_image(wish.image) if wish.stands_in and wish.image else None
    if image is None and not wish.python_task:
        return Prepared(python="python", lines=tuple(lines))
    asked = pip_lines.read_lines(lines, ctx.workspace)
    if image is None and not asked.requirements and not asked.pip_is_used:
        asked = replace(asked, left=tuple(lines))
    version = wish.version or (image.version if image else None)
    python = find_python(ctx, version)
    folders = _packages(ctx, wish, image or NO_IMAGE, asked, python)
    env = python_packages.search_paths(folders, ctx.search_path) if folders else {}
    if image is not None or asked.requirements or asked.pip_is_used:
        venv = _make_environment(ctx, python, bare=image is not None, lines=asked.left)
        path = env.get("PATH", ctx.search_path)
        env = {**env, "VIRTUAL_ENV": str(venv), "PATH": f"{venv / 'bin'}:{path}"}
        python = "python"
    return Prepared(python=python, lines=asked.left, env=env)


def _packages(
    ctx: EnvironmentContext,
    wish: Wish,
    image: PythonImage,
    asked: pip_lines.Installation,
    python: str,
) -> list[Path]:
    """The folders of packages, those of the task before those of the image."""
    executable = shutil.which(python, path=ctx.search_path) or python
    found: list[Path] = []
    needed = tuple(dict.fromkeys([*wish.dependencies, *asked.requirements]))
    if needed:
        own = PackageSet(
            python=executable,
            requirements=needed,
            options=asked.options,
            manager=wish.manager,
        )
        found.append(python_packages.installed(ctx, own, cached=wish.cached))
    promised = image.packages or _default_packages(ctx, wish)
    if promised:
        usual = PackageSet(python=executable, requirements=promised, manager=wish.manager)
        folder = python_packages.installed_if_possible(ctx, usual)
        found += [] if folder is None else [folder]
    return found


def _default_packages(ctx: EnvironmentContext, wish: Wish) -> tuple[str, ...]:
    """The default image of Python tasks has `kestra`; it is brought only to those who import it."""
    if not (wish.stands_in and wish.python_task and wish.image is None):
        return ()
    named = {re.split(r"[\[<>=!~; @]", one)[0].lower() for one in wish.dependencies}
    if "kestra" in named:
        return ()
    texts = [wish.script, *_python_files(ctx.workspace)]
    return ("kestra",) if any(IMPORTS_KESTRA.search(text) for text in texts) else ()


def _python_files(folder: Path) -> list[str]:
    texts: list[str] = []
    for path in sorted(folder.rglob("*.py"))[:LOOKED_AT_FILES]:
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as stream:
                texts.append(stream.read(LOOKED_AT_BYTES).decode("utf-8", "replace"))
    return texts


def _make_environment(
    ctx: EnvironmentContext, python: str, *, bare: bool, lines: Sequence[str]
) -> Path:
    """A virtual environment of this run; a bare one sees nothing of the machine's packages."""
    number = sum(1 for _ in ctx.workspace.parent.glob("venv-*"))
    folder = ctx.workspace.parent / f"venv-{number}"
    executable = shutil.which(python, path=ctx.search_path) or python
    make = [executable, "-m", "venv", *([] if bare else ["--system-site-packages"]), str(folder)]
    for argv in (_with_pip(make, ctx.search_path, lines), [*make, "--without-pip"]):
        if not ctx.run_process(ProcessSpec(argv=argv, task_runner=PROCESS)).exit_code:
            return folder
    raise TaskFailed(
        f"{executable} could not make a virtual environment: install its module venv",
        reason="setup",
    )


def _with_pip(make: Sequence[str], path: str, lines: Sequence[str]) -> list[str]:
    """The command that makes the environment, with a pip when a line uses it.

    A pip of its own takes seconds; that of the machine can work for another environment at once.
    """
    text = "\n".join(lines)
    if not re.search(r"\bpip3?\b", text):
        return [*make, "--without-pip"]
    python, folder = make[0], make[-1]
    if (
        re.search(r"-m\s+pip", text)
        or _said(python, "-c", "import pip; print(1)", path=path) != "1"
    ):
        return list(make)
    pip = f'exec {shlex.quote(python)} -m pip --python {shlex.quote(folder)}/bin/python "$@"'
    script = (
        f"{shlex.join([*make, '--without-pip'])} && cd {shlex.quote(folder)}/bin && "
        f"printf '#!/bin/sh\\n%s\\n' {shlex.quote(pip)} > pip && chmod +x pip && ln -s pip pip3"
    )
    return ["/bin/sh", "-c", script]


def find_python(ctx: EnvironmentContext, version: str | None) -> str:
    """The command that starts a Python of this version, else of what version there is."""
    path = ctx.search_path
    if version:
        found = shutil.which(f"python{version}", path=path)
        if found and _starts(found, path):
            return found
        known = _of_uv(version, path)
        if known:
            return known
        ctx.log(
            Level.WARN,
            f"There is no python{version} on this machine; the task runs with what there is",
        )
    for name in ("python", "python3"):
        if shutil.which(name, path=path):
            return name
    return str(getattr(sys, "_base_executable", None) or sys.executable)


def _starts(python: str, path: str) -> bool:
    """Whether a program on PATH is what its name says: some only name a version to be chosen."""
    return _said(python, "-c", "print(1)", path=path) == "1"


def _of_uv(version: str, path: str) -> str | None:
    """A Python that uv has on this machine."""
    uv = shutil.which("uv", path=path)
    if uv is None:
        return None
    found = _said(uv, "python", "find", "--no-python-downloads", version, path=path)
    return found if found and _starts(found, path) else None


def _said(*command: str, path: str) -> str:
    try:
        ended = subprocess.run(  # noqa: S603 - programs of the runner's own PATH
            command,
            env={"PATH": path, "HOME": os.path.expanduser("~")},  # noqa: PTH111 - a text for a process
            capture_output=True,
            text=True,
            timeout=PROBE_SECONDS,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return ended.stdout.strip() if ended.returncode == 0 else ""
