"""A Podman of the tests' own: its service on a socket, with storage that nobody else uses."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.taskrunners.real_docker import NoDaemon

from penstock_runner.taskrunners.docker_access import DockerAccess, find_daemon

START_SECONDS = 20.0
CONFIGURATION = """
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
"""


@contextmanager
def podman() -> Iterator[str]:
    """The address of a Podman that answers and can run a container; raises `NoDaemon`."""
    program = shutil.which("podman")
    if program is None or os.geteuid() != 0:
        raise NoDaemon("there is no podman here, or it may not be started")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        (folder / "containers.conf").write_text(CONFIGURATION)
        own = [program, "--root", f"{name}/root", "--runroot", f"{name}/run"]
        own += ["--tmpdir", f"{name}/tmp", "--storage-driver", "vfs"]
        own += ["--runtime", "runc"] if shutil.which("runc") else []
        host = f"unix://{name}/podman.sock"
        environment = {**os.environ, "CONTAINERS_CONF": f"{name}/containers.conf"}
        with (folder / "log").open("wb") as log:
            service = subprocess.Popen(
                [*own, "system", "service", "--time=0", host],
                env=environment,
                stdout=log,
                stderr=log,
            )
        try:
            _await(host, service, folder / "log")
            yield host
        finally:
            service.terminate()
            service.wait(20)


def _await(host: str, service: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while find_daemon(DockerAccess(hosts=(host,))) is None:
        if service.poll() is not None or time.monotonic() > until:
            raise NoDaemon(f"podman does not start here: {log.read_text()[-500:]}")
        time.sleep(0.05)
