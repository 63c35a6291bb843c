"""What the name of a container image says about the Python in it.

Where there is no container, a task whose image is one of these runs in a virtual environment of
that Python, with the packages that the image is known for. Other images have no such reading.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

DATA = ("kestra", "boto3", "numpy", "pandas", "polars", "pyarrow", "requests")
PACKAGES = {
    "kestrapy": ("kestra",),
    "pydata": DATA,
    "pandas": ("kestra", "numpy", "pandas", "requests"),
    "polars": ("kestra", "polars", "requests"),
    "duckdb": ("kestra", "duckdb", "pandas"),
    "aws": ("kestra", "boto3"),
    "sqlmesh": ("sqlmesh",),
}
"""Packages by the last part of an image's name; `python` itself has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonImage:
    """The Python that an image stands for; no version is any."""

    version: str | None = None
    packages: tuple[str, ...] = ()


def read_image(image: str) -> PythonImage | None:
    """The Python behind an image's name, None when the name says nothing of one."""
    name, _, tag = image.partition("@")[0].rpartition("/")[2].partition(":")
    version = re.match(r"(?:python)?(3\.\d+)(?![\d])", tag)
    found = version[1] if version else None
    if name == "python" or (name == "uv" and tag.startswith("python")):
        return PythonImage(version=found)
    if name in PACKAGES:
        return PythonImage(packages=PACKAGES[name])
    if re.fullmatch(r"dbt-[a-z]+", name):
        return PythonImage(packages=("dbt-core", name))
    return None
