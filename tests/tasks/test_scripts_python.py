"""Packages of Python tasks: installed once, then found again."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from tests.tasks.test_scripts import Heard, run

METADATA = "Metadata-Version: 2.1\nName: greeting\nVersion: 1.0\n"
WHEEL = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def wheel(folder: Path) -> Path:
    """A package that can be installed without a network."""
    path = folder / "greeting-1.0-py3-none-any.whl"
    info = "greeting-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("greeting.py", "word = 'hello'\n")
        archive.writestr(f"{info}/METADATA", METADATA)
        archive.writestr(f"{info}/WHEEL", WHEEL)
        names = ["greeting.py", f"{info}/METADATA", f"{info}/WHEEL", f"{info}/RECORD"]
        archive.writestr(f"{info}/RECORD", "".join(f"{name},,\n" for name in names))
    return path


@pytest.mark.parametrize("manager", ["UV", "PIP"])
def test_dependencies_are_installed_and_kept_for_the_next_job(tmp_path: Path, manager: str) -> None:
    package = wheel(tmp_path)
    script = "import greeting\nprint(greeting.word)"
    for _ in range(2):
        heard = Heard()
        report = run(
            tmp_path,
            "python.Script",
            heard,
            script=script,
            dependencies=["{{ package }}"],
            packageManager=manager,
            variables={"package": str(package)},
        )
        assert (report.state, heard.texts()) == ("SUCCESS", ["hello"]), heard.said
        package.unlink(missing_ok=True)


def test_dependencies_that_cannot_be_installed_are_a_setup_failure(tmp_path: Path) -> None:
    missing = tmp_path / "missing-1.0-py3-none-any.whl"
    report = run(tmp_path, "python.Script", script="pass", dependencies=[str(missing)])
    assert (report.state, report.reason) == ("FAILED", "setup")
    assert "dependencies could not be installed" in str(report.error)


def test_python_commands_have_the_dependencies_too(tmp_path: Path) -> None:
    heard = Heard()
    report = run(
        tmp_path,
        "python.Commands",
        heard,
        commands=["python3 -c 'import greeting; print(greeting.word)'"],
        dependencies=[str(wheel(tmp_path))],
    )
    assert (report.state, heard.texts()) == ("SUCCESS", ["hello"]), heard.said


def test_lines_of_a_python_script_are_not_held_back(tmp_path: Path) -> None:
    heard = Heard()
    run(tmp_path, "python.Script", heard, script="import os\nprint(os.environ['PYTHONUNBUFFERED'])")
    assert heard.texts() == ["true"]
