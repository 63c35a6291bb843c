"""The labels by which containers of ours are known, also when their runner is no more."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penstock_runner.taskrunners import names
from penstock_runner.taskrunners.api import Command

if TYPE_CHECKING:
    from penstock_runner.taskrunners.docker_settings import DockerSettings

FOLDER = "penstock.folder"
TASKRUN = "penstock.taskrun"
RUNNER = "penstock.runner"
RESUME = "penstock.resume"
KEEP = "penstock.keep"
PREFIX = "kestra.io/"
NAMESPACE = f"{PREFIX}namespace"
YES = "true"


def of_job(command: Command, settings: DockerSettings, runner: str) -> dict[str, str]:
    """The labels of a new container.

    The folder makes it one that its runner tidies up; one that the task leaves running has none.
    """
    found = {
        **names.labels(command.labels, prefix=PREFIX),
        TASKRUN: command.labels.get("taskrun-id", ""),
    }
    if settings.wait:
        found[FOLDER] = str(command.folder)
        found[RUNNER] = runner
    if settings.resume:
        found[RESUME] = YES
    if not settings.delete:
        found[KEEP] = YES
    return found


def in_label(namespace: str) -> str:
    """A namespace as the label of a container has it."""
    return names.normalised(namespace) or ""


def labels_of(listed: Mapping[str, Any]) -> Mapping[str, str]:
    """The labels of a container as a list of the daemon shows it."""
    return listed.get("Labels") or {}


def taskrun_of(folder: Path) -> str:
    """The task run that a job's folder belongs to, whichever attempt it is of."""
    return folder.name.rpartition("-")[0]
