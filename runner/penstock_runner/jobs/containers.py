"""Removes containers whose job is no more: after a crash, a lost worker, a stop in the middle.

A job removes its own container at its end; this is for those that could not. Containers carry the
folder of their job, so those of other runners are never touched.
"""

from __future__ import annotations

from pathlib import Path

from penstock_runner.taskrunners.docker_access import DockerAccess, find_daemon


def preload(access: DockerAccess) -> bool:
    """Import what containers need, where a daemon answers, so that forked workers have it."""
    if not access.enabled or find_daemon(access) is None:
        return False
    from penstock_runner.taskrunners import docker  # noqa: F401

    return True


def remove_below(folder: Path, access: DockerAccess) -> int:
    """Remove the containers whose job folder is this one or below it; how many there were."""
    daemon = find_daemon(access) if access.enabled else None
    if daemon is None:
        return 0
    from penstock_runner.taskrunners import docker

    return docker.sweep(folder, daemon)
