"""A Docker daemon for tests: the one that answers here, with a busybox image made on the spot."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from tests.jobs.harness import commands

from penstock_runner.jobs.protocol import Job
from penstock_runner.taskrunners.docker_access import Daemon, DockerAccess, find_daemon, hosts_of

IMAGE = "busybox"
TASK_RUNNER = "io.kestra.plugin.scripts.runner.docker.Docker"


def access(**more: Any) -> DockerAccess:
    return DockerAccess(hosts=hosts_of(os.environ, os.getuid()), **more)


def in_container(*lines: str, key: str = "t", **properties: Any) -> Job:
    """Commands in a container of the image; `runner` are more properties of the task runner."""
    task_runner = {"type": TASK_RUNNER, "pullPolicy": "NEVER", **properties.pop("runner", {})}
    return commands(*lines, key=key, taskRunner=task_runner, containerImage=IMAGE, **properties)


class NoDaemon(Exception):
    """Containers cannot be run here; the message says why."""


def daemon() -> Daemon:
    """The daemon of this machine with the image of the tests, else the test is skipped."""
    try:
        return prepared()
    except NoDaemon as reason:
        pytest.skip(str(reason))


def prepared() -> Daemon:
    """The daemon of this machine, which has the image."""
    found = find_daemon(access())
    if found is None:
        raise NoDaemon("no Docker daemon answers")
    give_image(found)
    return found


def give_image(found: Daemon) -> None:
    """Make the image of the tests where the daemon does not have it."""
    if not _has_image(found):
        program = shutil.which("busybox")
        if program is None:
            raise NoDaemon("the daemon has no image busybox, and there is no busybox to make it of")
        client(found).api.import_image_from_data(_packed(Path(program)), repository=IMAGE)


def client(found: Daemon) -> Any:
    from penstock_runner.taskrunners.docker_client import connect

    return connect(found)


def containers(found: Daemon, folder: Path) -> list[dict[str, Any]]:
    """The containers whose job folder is below this one, as the daemon lists them."""
    listed = client(found).api.containers(all=True, filters={"label": "penstock.folder"})
    return [one for one in listed if Path(one["Labels"]["penstock.folder"]).is_relative_to(folder)]


def _has_image(found: Daemon) -> bool:
    import docker.errors

    try:
        client(found).images.get(IMAGE)
    except docker.errors.ImageNotFound:
        return False
    return True


def _packed(program: Path) -> bytes:
    """The root of a system that has nothing but busybox."""
    listed = subprocess.run([program, "--list"], check=True, capture_output=True, text=True)
    packed = BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for folder in ("bin", "tmp"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if folder == "tmp" else 0o755
            archive.addfile(entry)
        archive.add(program, "bin/busybox")
        for name in listed.stdout.split():
            if name != "busybox":
                link = tarfile.TarInfo(f"bin/{name}")
                link.type, link.linkname = tarfile.SYMTYPE, "busybox"
                archive.addfile(link)
    return packed.getvalue()
