"""Which lines of a script are plain installations, and what they ask for."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock_runner.tasks.pip_lines import read_lines
from penstock_runner.tasks.python_images import PythonImage, read_image


@pytest.mark.parametrize(
    ("line", "requirements", "options"),
    [
        ("pip install pandas", ["pandas"], []),
        ("  pip3 install -q --no-cache-dir pandas requests  ", ["pandas", "requests"], []),
        ("python -m pip install 'pandas>=2,<3'", ["pandas>=2,<3"], []),
        ("uv pip install --system polars[sqlalchemy]==1.2", ["polars[sqlalchemy]==1.2"], []),
        ("pip install kestra > /dev/null", None, []),
        ("pip install pandas && python main.py", None, []),
        ("pip install $PACKAGES", None, []),
        ("pip install pandas>=2", None, []),
        ("pip install .", None, []),
        ("pip install -e ./lib", None, []),
        ("pip install git+https://example.org/x.git", None, []),
        ("pip install --target lib pandas", None, []),
        ("pip install", None, []),
        ("pip install 'unfinished", None, []),
        ("echo pip install pandas", None, []),
        (
            "pip install --index-url https://packages.example.org/simple --pre team-lib",
            ["team-lib"],
            ["--index-url", "https://packages.example.org/simple", "--pre"],
        ),
    ],
)
def test_a_line_is_read_or_left_alone(
    tmp_path: Path, line: str, requirements: list[str] | None, options: list[str]
) -> None:
    found = read_lines([line], tmp_path)
    assert list(found.requirements) == (requirements or [])
    assert list(found.options) == options
    assert list(found.left) == ([] if requirements else [line])


def test_the_other_lines_of_a_command_stay(tmp_path: Path) -> None:
    found = read_lines(["pip install pandas\npython main.py\n", "ls"], tmp_path)
    assert found.requirements == ("pandas",)
    assert found.left == ("python main.py\n", "ls")
    assert not found.pip_is_used
    assert read_lines(["cd lib && pip install ."], tmp_path).pip_is_used


def test_a_file_of_requirements_is_read_when_it_is_there(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("pandas==2.2  # tables\n\n# more\nrequests\n")
    (tmp_path / "more.txt").write_text("-r requirements.txt\n")
    found = read_lines(["pip install -r requirements.txt"], tmp_path)
    assert found.requirements == ("pandas==2.2", "requests")
    for line in ("pip install -r more.txt", "pip install -r missing.txt"):
        assert read_lines([line], tmp_path).left == (line,)


def test_a_folder_of_the_working_directory_is_no_package(tmp_path: Path) -> None:
    (tmp_path / "mylib").mkdir()
    assert read_lines(["pip install mylib"], tmp_path).left == ("pip install mylib",)


@pytest.mark.parametrize(
    ("image", "version"),
    [
        ("python:3.11-slim", "3.11"),
        ("python:3.12.4-alpine", "3.12"),
        ("docker.io/library/python:3", None),
        ("python:slim", None),
        ("python", None),
        ("registry.example.org:5000/base/python:3.10", "3.10"),
        ("ghcr.io/astral-sh/uv:python3.13-bookworm", "3.13"),
    ],
)
def test_a_python_image_stands_for_its_version(image: str, version: str | None) -> None:
    assert read_image(image) == PythonImage(version=version)


def test_images_known_for_their_packages_stand_for_those() -> None:
    pydata = read_image("ghcr.io/kestra-io/pydata:latest")
    assert pydata is not None
    assert {"pandas", "kestra", "requests"} <= set(pydata.packages)
    assert read_image("ghcr.io/kestra-io/kestrapy:latest") == PythonImage(packages=("kestra",))
    dbt = read_image("ghcr.io/kestra-io/dbt-duckdb:latest")
    assert dbt == PythonImage(packages=("dbt-core", "dbt-duckdb"))


@pytest.mark.parametrize("image", ["ubuntu", "node:20", "team/pythonic:3.11", "ruby:3.3"])
def test_other_images_say_nothing_of_python(image: str) -> None:
    assert read_image(image) is None
