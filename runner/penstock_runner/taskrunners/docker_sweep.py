"""Removes containers whose job is no more, and finds those that a job takes up again."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from penstock_runner.taskrunners import docker_labels as labels
from penstock_runner.taskrunners.docker_access import Daemon
from penstock_runner.taskrunners.docker_client import UNREACHABLE, connect

ENDED = "-ended"
"""The end of the name of a container whose job has all of it: it is not taken up again."""


def sweep(
    root: Path,
    daemon: Daemon,
    *,
    keep_resumable: bool = False,
    but_of: str | None = None,
    only: str | None = None,
    in_use: Collection[str] = (),
) -> int:
    """Remove the containers whose job folder is below `root`; how many there were.

    With `keep_resumable` those stay that a later attempt may take up; so do those of the runner
    `but_of` and of the task runs `in_use`, and all but those of the task run `only`. One that its
    task wants to keep is only stopped.
    """
    removed = 0
    with contextlib.suppress(*UNREACHABLE), contextlib.closing(connect(daemon)) as client:
        for found in client.api.containers(all=True, filters={"label": labels.FOLDER}):
            own = labels.labels_of(found)
            folder = Path(own.get(labels.FOLDER, "/"))
            if _spared(own, folder, root, but_of, only, in_use):
                continue
            if keep_resumable and _may_be_taken_up(found):
                continue
            removed += _remove(client, found)
        for network in client.api.networks(filters={"label": labels.FOLDER}):
            own = labels.labels_of(network)
            folder = Path(own.get(labels.FOLDER, "/"))
            if not _spared(own, folder, root, but_of, only, in_use):
                with contextlib.suppress(*UNREACHABLE):
                    client.api.remove_network(network["Id"])
    return removed


def _spared(
    own: Mapping[str, str],
    folder: Path,
    root: Path,
    but_of: str | None,
    only: str | None,
    in_use: Collection[str],
) -> bool:
    """Whether what has these labels is not for this sweep."""
    taskrun = labels.taskrun_of(folder)
    ours = but_of is not None and own.get(labels.RUNNER) == but_of
    other = only is not None and taskrun != only
    return ours or other or taskrun in in_use or not folder.is_relative_to(root)


def left_behind(client: Any, taskrun: str) -> tuple[Any, Path] | None:
    """The container that an earlier attempt of the task run started and nobody has ended.

    With the folder of that attempt, which is where it has its files.
    """
    wanted = [f"{labels.TASKRUN}={taskrun}", f"{labels.RESUME}={labels.YES}"]
    for found in client.api.containers(all=True, filters={"label": wanted}):
        if not _may_be_taken_up(found):
            continue
        if found.get("State") in {"created", "configured", "dead"}:
            _remove(client, found)  # its runner ended before it began
            continue
        folder = Path(labels.labels_of(found).get(labels.FOLDER, "/"))
        return client.containers.get(found["Id"]), folder
    return None


def mark_ended(container: Any) -> None:
    """Let no later attempt take up a container that is kept."""
    with contextlib.suppress(*UNREACHABLE):
        container.rename(f"{container.name}{ENDED}")


def _may_be_taken_up(found: dict[str, Any]) -> bool:
    names = [str(name) for name in found.get("Names") or ()]
    resumable = labels.labels_of(found).get(labels.RESUME) == labels.YES
    return resumable and not any(name.endswith(ENDED) for name in names)


def _remove(client: Any, found: dict[str, Any]) -> int:
    runs = found.get("State") in {"running", "paused", "restarting"}
    with contextlib.suppress(*UNREACHABLE):
        if runs:
            client.api.kill(found["Id"])  # some daemons remove by force only after a grace
    if labels.labels_of(found).get(labels.KEEP) == labels.YES:
        return int(runs)
    with contextlib.suppress(*UNREACHABLE):
        client.api.remove_container(found["Id"], force=True, v=True)
        return 1
    return 0
